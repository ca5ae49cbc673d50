package saenvtest_test

import (
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// newNamespace returns a namespace of the test's own.
func newNamespace(t *testing.T) string {
	t.Helper()
	if k8sClient == nil {
		t.Skip("KUBEBUILDER_ASSETS has no etcd and kube-apiserver")
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	if err := k8sClient.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		return k8sClient.Get(t.Context(), client.ObjectKey{Namespace: ns.Name, Name: "default"}, &corev1.ServiceAccount{})
	})
	return ns.Name
}

func eventually(t *testing.T, check func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// A pod gets its account and the volume with its token (ADM-12, ADM-50), and one whose
// account doesn't exist is refused.
func TestPodsAreAdmitted(t *testing.T) {
	ns := newNamespace(t)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "web"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "example.com/web"}}},
	}
	if err := k8sClient.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	mounts := pod.Spec.Containers[0].VolumeMounts
	if pod.Spec.ServiceAccountName != "default" || len(mounts) != 1 || !strings.HasPrefix(mounts[0].Name, "kube-api-access-") {
		t.Errorf("the pod has the account %q and the mounts %v", pod.Spec.ServiceAccountName, mounts)
	}
	ghost := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "ghost"}, Spec: *pod.Spec.DeepCopy()}
	ghost.Spec.ServiceAccountName, ghost.Spec.DeprecatedServiceAccount = "ghost", "ghost"
	if err := k8sClient.Create(t.Context(), ghost); !apierrors.IsForbidden(err) {
		t.Errorf("a pod of an account that doesn't exist: %v, want Forbidden", err)
	}
}

// The root CA that pods mount is there (RCA-1).
func TestRootCA(t *testing.T) {
	ns := newNamespace(t)
	eventually(t, func() error {
		return k8sClient.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "kube-root-ca.crt"}, &corev1.ConfigMap{})
	})
}

// The token of a Secret is one that the API server accepts, until its account is
// deleted (CTL-41, CTL-21).
func TestTokenSecrets(t *testing.T) {
	ctx, ns := t.Context(), newNamespace(t)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "builder"}}
	if err := k8sClient.Create(ctx, account); err != nil {
		t.Fatal(err)
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "builder-token", Annotations: map[string]string{corev1.ServiceAccountNameKey: "builder"}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}
	if err := k8sClient.Create(ctx, secret); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if err := k8sClient.Get(ctx, client.ObjectKeyFromObject(secret), secret); err != nil {
			return err
		}
		return reviewed(t, string(secret.Data["token"]), "system:serviceaccount:"+ns+":builder")
	})
	if err := k8sClient.Delete(ctx, account); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		err := k8sClient.Get(ctx, client.ObjectKeyFromObject(secret), secret)
		if apierrors.IsNotFound(err) {
			return nil
		}
		return apierrors.NewConflict(corev1.Resource("secrets"), secret.Name, err)
	})
}

// reviewed asks the API server whose token it is.
func reviewed(t *testing.T, token, want string) error {
	t.Helper()
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
	if token == "" {
		review.Spec.Token = "none yet"
	}
	if err := k8sClient.Create(t.Context(), review); err != nil {
		return err
	}
	if got := review.Status.User.Username; got != want {
		return apierrors.NewUnauthorized("the token is that of " + got + ", want " + want + ": " + review.Status.Error)
	}
	return nil
}

// A client acts as an account, with the rights that the account has.
func TestTokenConfig(t *testing.T) {
	ctx, ns := t.Context(), newNamespace(t)
	config, err := testEnv.TokenConfig(ctx, ns, "default")
	if err != nil {
		t.Fatal(err)
	}
	asAccount, err := client.New(config, client.Options{Mapper: k8sClient.RESTMapper()})
	if err != nil {
		t.Fatal(err)
	}
	read := func() error { return asAccount.List(ctx, &corev1.ConfigMapList{}, client.InNamespace(ns)) }
	if err := read(); !apierrors.IsForbidden(err) {
		t.Errorf("without a role: %v, want Forbidden", err)
	}
	role := &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "reader"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"list"}}},
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "reader"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "reader"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: ns, Name: "default"}},
	}
	for _, o := range []client.Object{role, binding} {
		if err := k8sClient.Create(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, read)
	if _, err := testEnv.TokenConfig(ctx, ns, "ghost"); !apierrors.IsNotFound(err) {
		t.Errorf("an account that doesn't exist: %v, want NotFound", err)
	}
}
