package admission_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/admission/internal/admissiontest"
)

// The objects of the tests.
var (
	have            = admissiontest.Have
	failing         = admissiontest.Failing
	account         = admissiontest.Account
	lists           = admissiontest.Lists
	pulls           = admissiontest.Pulls
	enforces        = admissiontest.Enforces
	pod             = admissiontest.Pod
	runsAs          = admissiontest.RunsAs
	mirror          = admissiontest.Mirror
	secretVolume    = admissiontest.SecretVolume
	withVolumes     = admissiontest.WithVolumes
	withMounts      = admissiontest.WithMounts
	secretEnv       = admissiontest.SecretEnv
	secretEnvFrom   = admissiontest.SecretEnvFrom
	tokenVolume     = admissiontest.TokenVolume
	tokenMount      = admissiontest.TokenMount
	fixedName       = admissiontest.FixedName
	plugin          = admissiontest.Plugin
	strict          = admissiontest.Strict
	limit           = admissiontest.Limit
	create          = admissiontest.Create
	updateEphemeral = admissiontest.UpdateEphemeral
	forbidden       = admissiontest.Forbidden
	unwrapped       = admissiontest.Unwrapped
	retry           = admissiontest.Retry
	inits           = admissiontest.Inits
	main            = admissiontest.Main
	debug           = admissiontest.Debug
	pullFrom        = admissiontest.PullFrom
	automount       = admissiontest.Automount
	tokenSecret     = admissiontest.TokenSecret
	randomPod       = admissiontest.RandomPod
	randomPlugin    = admissiontest.RandomPlugin
)

const (
	mountPath       = admissiontest.MountPath
	tokenVolumeName = admissiontest.TokenVolumeName
)

type objects = admissiontest.Objects

// wantStatus fails unless err has exactly the status want, or is nil if want is.
func wantStatus(t *testing.T, err error, want *metav1.Status) {
	t.Helper()
	var got *metav1.Status
	if e := (*apierrors.StatusError)(nil); errors.As(err, &e) {
		got = &e.ErrStatus
	} else if err != nil {
		t.Fatalf("got the error %v (%T), want a *StatusError or nil", err, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status of the refusal (-want +got):\n%s", diff)
	}
}

func wantPod(t *testing.T, got, want *corev1.Pod) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pod (-want +got):\n%s", diff)
	}
}

func wantAccount(t *testing.T, got, want *corev1.ServiceAccount) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the account changed (-before +after):\n%s", diff)
	}
}
