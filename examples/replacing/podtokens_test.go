package replacing_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/examples/replacing"
	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/bearer"
)

func TestPodTokens(t *testing.T) {
	ctx := t.Context()
	virtual := newCluster(t)
	host := fake.New(
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "vc"}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "vc", Name: "unrelated"}},
	)
	host.Now = virtual.Now
	controller, err := replacing.NewPodTokens(host, virtual.CreateToken, virtual.Now)
	if err != nil {
		t.Fatal(err)
	}
	seconds := int64(600)
	// translate returns the names of the Secrets from which the host's pod takes its tokens.
	translate := func() (names []string) {
		t.Helper()
		pod, err := virtual.Cluster.GetPod(ctx, "ci", "job")
		if err != nil {
			t.Fatal(err)
		}
		translated := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "vc", Name: "job-x-ci"}, Spec: corev1.PodSpec{Volumes: []corev1.Volume{
			{Name: "scratch"},
			{Name: "v", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token"}},
				{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "ca"}}},
				{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "vault", Audience: "vault", ExpirationSeconds: &seconds}},
			}}}},
		}}}
		if err := replacing.AddPodTokenSecrets(ctx, pod, translated, []metav1.OwnerReference{{APIVersion: "v1", Kind: "Service", Name: "vc", UID: "1"}}, host); err != nil {
			t.Fatal(err)
		}
		for i, path := range map[int]string{0: "token", 2: "vault"} {
			source := translated.Spec.Volumes[1].Projected.Sources[i]
			if source.ServiceAccountToken != nil || source.Secret == nil || len(source.Secret.Items) != 1 || source.Secret.Items[0].Path != path {
				t.Errorf("source %d is %+v, want a Secret at %s", i, source, path)
			}
		}
		return []string{translated.Spec.Volumes[1].Projected.Sources[0].Secret.Name, translated.Spec.Volumes[1].Projected.Sources[2].Secret.Name}
	}
	read := func(name string, audiences ...string) string {
		t.Helper()
		secret, err := host.GetSecret(ctx, "vc", name)
		if err != nil {
			t.Fatal(err)
		}
		token := string(secret.Data["token"])
		if id, err := virtual.Authenticator.Authenticate(ctx, token, audiences...); err != nil || id.Name != "builder" || id.Pod.Name != "job" || len(secret.OwnerReferences) != 1 {
			t.Errorf("the Secret %s of %v: %+v, %v, want a token of the pod", name, secret.OwnerReferences, id, err)
		}
		return token
	}
	first := translate()
	translate() // again, as after a restart
	if err := host.Settle(ctx, controller); err != nil {
		t.Fatal(err)
	}
	token, vault := read(first[0]), read(first[1], "vault")
	virtual.Advance(9 * time.Minute)
	if err := host.Settle(ctx, controller); err != nil {
		t.Fatal(err)
	}
	if read(first[0]) != token || read(first[1], "vault") == vault {
		t.Error("after 9 minutes the token for an hour was renewed, or the one for 10 minutes was not")
	}
	if secret, err := host.GetSecret(ctx, "vc", "unrelated"); err != nil || len(secret.Data) > 0 {
		t.Errorf("another Secret holds %v, %v", secret, err)
	}

	if err := virtual.Cluster.DeletePod(ctx, "ci", "job", metav1.DeleteOptions{GracePeriodSeconds: new(int64)}); err != nil {
		t.Fatal(err)
	}
	if err := virtual.Cluster.Load(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "job"}, Spec: corev1.PodSpec{ServiceAccountName: "builder", Containers: []corev1.Container{{Name: "c", Image: "i"}}}}); err != nil {
		t.Fatal(err)
	}
	second := translate()
	if second[0] == first[0] {
		t.Fatal("the next pod of that name takes the Secret of the one before")
	}
	for _, name := range first { // which the garbage collector deletes with its owner
		if err := host.DeleteSecret(ctx, "vc", name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := host.Settle(ctx, controller); err != nil {
		t.Fatal(err)
	}
	read(second[0])
	if _, err := virtual.Authenticator.Authenticate(ctx, token); err == nil {
		t.Error("the token of the pod before is still good")
	}

	host.Inject(fault.First(1, "create", "secrets", fault.Timeout))
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "next", UID: "n"}, Spec: corev1.PodSpec{Volumes: []corev1.Volume{
		{VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token"}}}}}},
	}}}
	if err := replacing.AddPodTokenSecrets(ctx, pod, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "vc"}, Spec: *pod.Spec.DeepCopy()}, nil, host); err == nil {
		t.Error("a Secret that wasn't created is no error")
	}
}

func TestWorkspaceAuth(t *testing.T) {
	authority := newCluster(t)
	var asked []string
	answer, failure := true, error(nil)
	auth, err := replacing.NewWorkspaceAuth(reviewer(t, authority), func(_ context.Context, username string, groups []string, workspace types.NamespacedName) (bool, error) {
		asked = append(asked, fmt.Sprint(username, " ", workspace, " ", len(groups)))
		return answer, failure
	}, types.NamespacedName{Namespace: "stacks", Name: "prod"})
	if err != nil {
		t.Fatal(err)
	}
	good := "Bearer " + issue(t, authority, "vault", 1<<32, true) // the cache has a clock of its own
	for range 3 {
		ctx, err := auth(t.Context(), []string{good})
		if err != nil || bearer.IdentityFrom(ctx).Username() != "system:serviceaccount:ci:builder" {
			t.Errorf("a good call: %v", err)
		}
	}
	if want := "system:serviceaccount:ci:builder stacks/prod 3"; len(asked) != 3 || asked[0] != want {
		t.Errorf("asked %q, want %q for each call", asked, want)
	}
	reviews := 0
	for _, a := range authority.Cluster.Actions() {
		if a.Resource == "tokenreviews" {
			reviews++
		}
	}
	if reviews > 1 {
		t.Errorf("%d TokenReviews for one token, want one", reviews)
	}
	answer = false
	for name, call := range map[string]struct {
		authorization []string
		failure       error
		status        int
	}{
		"RBAC says no":      {[]string{good}, nil, 403},
		"RBAC says nothing": {[]string{good}, errors.New("down"), 503},
		"a bad token":       {[]string{"Bearer x"}, nil, 401},
		"no token":          {nil, nil, 401},
		"two tokens":        {[]string{good, good}, nil, 400},
	} {
		failure = call.failure
		ctx, err := auth(t.Context(), call.authorization)
		if f := bearer.FailureOf(err); err == nil || ctx != nil || f.Status != call.status {
			t.Errorf("%s: %v, status %d, want %d", name, err, f.Status, call.status)
		}
	}
	if _, err := replacing.NewWorkspaceAuth(tokens.Verifier(nil), nil, types.NamespacedName{}); err == nil {
		t.Error("without a verifier there is no error")
	}
}
