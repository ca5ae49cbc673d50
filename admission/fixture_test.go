package admission_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/admission"
)

const mountPath = "/var/run/secrets/kubernetes.io/serviceaccount"

// objects is a getter of what it holds, keyed by namespace/name. It counts reads.
type objects struct {
	accounts map[string]*corev1.ServiceAccount
	secrets  map[string]*corev1.Secret
	err      error // of every read, if set
	reads    atomic.Int32
	appear   int32 // if above 0, the read from which on accounts are there
}

func have(list ...any) *objects {
	o := &objects{accounts: map[string]*corev1.ServiceAccount{}, secrets: map[string]*corev1.Secret{}}
	for _, object := range list {
		switch object := object.(type) {
		case *corev1.ServiceAccount:
			o.accounts[object.Namespace+"/"+object.Name] = object
		case *corev1.Secret:
			o.secrets[object.Namespace+"/"+object.Name] = object
		}
	}
	return o
}

func failing(err error) *objects { return &objects{err: err} }

func (o *objects) GetServiceAccount(_ context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	n := o.reads.Add(1)
	if o.err != nil {
		return nil, o.err
	}
	if account := o.accounts[namespace+"/"+name]; account != nil && n >= o.appear {
		return account, nil
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "serviceaccounts"}, name)
}

func (o *objects) GetSecret(_ context.Context, namespace, name string) (*corev1.Secret, error) {
	o.reads.Add(1)
	if o.err != nil {
		return nil, o.err
	}
	if secret := o.secrets[namespace+"/"+name]; secret != nil {
		return secret, nil
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, name)
}

func account(name string, changes ...func(*corev1.ServiceAccount)) *corev1.ServiceAccount {
	a := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: "uid-1"}}
	for _, change := range changes {
		change(a)
	}
	return a
}

func lists(secrets ...string) func(*corev1.ServiceAccount) {
	return func(a *corev1.ServiceAccount) {
		for _, s := range secrets {
			a.Secrets = append(a.Secrets, corev1.ObjectReference{Name: s})
		}
	}
}

func pulls(secrets ...string) func(*corev1.ServiceAccount) {
	return func(a *corev1.ServiceAccount) {
		for _, s := range secrets {
			a.ImagePullSecrets = append(a.ImagePullSecrets, corev1.LocalObjectReference{Name: s})
		}
	}
}

func enforces(value string) func(*corev1.ServiceAccount) {
	return func(a *corev1.ServiceAccount) {
		a.Annotations = map[string]string{admission.EnforceAnnotation: value}
	}
}

func pod(changes ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "nginx"}}},
	}
	for _, change := range changes {
		change(p)
	}
	return p
}

func runsAs(name string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.ServiceAccountName, p.Spec.DeprecatedServiceAccount = name, name }
}

func mirror(p *corev1.Pod) {
	p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: ""}
}

func secretVolume(name, secret string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: secret}}}
}

func withVolumes(volumes ...corev1.Volume) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.Volumes = append(p.Spec.Volumes, volumes...) }
}

func withMounts(mounts ...corev1.VolumeMount) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.Containers[0].VolumeMounts = mounts }
}

func secretEnv(secret string) []corev1.EnvVar {
	return []corev1.EnvVar{
		{Name: "PLAIN", Value: "1"},
		{Name: "PASSWORD", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: secret}, Key: "password",
		}}},
	}
}

func secretEnvFrom(secret string) []corev1.EnvFromSource {
	return []corev1.EnvFromSource{
		{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "settings"}}},
		{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: secret}}},
	}
}

// tokenVolume is ADM-42, spelled out.
func tokenVolume(name string) corev1.Volume {
	mode, lifetime := int32(420), int64(3607)
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		DefaultMode: &mode,
		Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: &lifetime}},
			{ConfigMap: &corev1.ConfigMapProjection{
				LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"},
				Items:                []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}},
			}},
			{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{
				Path:     "namespace",
				FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"},
			}}}},
		},
	}}}
}

func tokenMount(volume string) corev1.VolumeMount {
	return corev1.VolumeMount{Name: volume, ReadOnly: true, MountPath: mountPath}
}

// fixedName makes the names of new volumes the same each time.
func fixedName(base string) string { return base + "abc12" }

const tokenVolumeName = "kube-api-access-abc12"

// plugin returns a Plugin over o, with fixed names.
func plugin(t testing.TB, o *objects, changes ...func(*admission.Config)) *admission.Plugin {
	t.Helper()
	cfg := admission.Config{ServiceAccounts: o, NewName: fixedName, WaitTimeout: -1}
	for _, change := range changes {
		change(&cfg)
	}
	p, err := admission.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func strict(c *admission.Config) { c.Strict = true }
func limit(c *admission.Config)  { c.LimitSecretReferences = true }

func create(p *corev1.Pod) admission.Request {
	return admission.Request{Operation: admissionv1.Create, Namespace: "shop", Name: "web", Pod: p}
}

func updateEphemeral(p *corev1.Pod) admission.Request {
	return admission.Request{Operation: admissionv1.Update, Namespace: "shop", Name: "web", Subresource: "ephemeralcontainers", Pod: p}
}

// forbidden is the status of a refusal whose text about the pod "web" is why.
func forbidden(why string) *metav1.Status {
	return unwrapped(`pods "web" is forbidden: ` + why)
}

func unwrapped(message string) *metav1.Status {
	return &metav1.Status{
		Status: "Failure", Code: http.StatusForbidden, Reason: "Forbidden", Message: message,
		Details: &metav1.StatusDetails{Name: "web", Kind: "pods"},
	}
}

func retry(s *metav1.Status) *metav1.Status {
	s.Details.RetryAfterSeconds = 1
	return s
}

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
