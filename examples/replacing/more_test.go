package replacing_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/admission/furthervolume"
	"github.com/kubesa/serviceaccount/examples/replacing"
	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/keeper"
)

func TestAttestAgent(t *testing.T) {
	authority := newCluster(t)
	cluster := authority.Cluster
	if err := cluster.Load(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "worker", UID: "node-uid"}}); err != nil {
		t.Fatal(err)
	}
	agent := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "agent"},
		Spec:       corev1.PodSpec{ServiceAccountName: "builder", NodeName: "worker", Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}
	create := func() {
		t.Helper()
		if _, err := cluster.CreatePod(t.Context(), agent); err != nil {
			t.Fatal(err)
		}
	}
	create()
	token, err := authority.CreateToken(t.Context(), "ci", "builder", tokenFor("vault", "agent"))
	if err != nil {
		t.Fatal(err)
	}
	policy := tokens.Policy{RequirePodBound: true, Accounts: []types.NamespacedName{{Namespace: "ci", Name: "builder"}}}
	attest := func(policy tokens.Policy, token string) (*replacing.Agent, error) {
		allowed, err := policy.Checker()
		if err != nil {
			t.Fatal(err)
		}
		return replacing.AttestAgent(t.Context(), reviewer(t, authority), allowed, cluster, token)
	}
	got, err := attest(policy, token.Status.Token)
	if err != nil || got.Node.UID != "node-uid" || got.Pod.Name != "agent" || got.Identity.Name != "builder" {
		t.Errorf("AttestAgent() = %+v, %v, want the agent on its node", got, err)
	}
	if _, err := attest(policy, issue(t, authority, "vault", 600, false)); !rejects(err, tokens.ReasonPolicy) {
		t.Errorf("AttestAgent() of a token without a pod = %v, want a policy", err)
	}
	if _, err := attest(tokens.Policy{Accounts: []types.NamespacedName{{Namespace: "spire", Name: "agent"}}}, token.Status.Token); !rejects(err, tokens.ReasonPolicy) {
		t.Errorf("AttestAgent() of another account = %v, want a policy", err)
	}
	if err := cluster.DeletePod(t.Context(), "ci", "agent", metav1.DeleteOptions{GracePeriodSeconds: new(int64)}); err != nil {
		t.Fatal(err)
	}
	if _, err := attest(policy, token.Status.Token); !rejects(err, tokens.ReasonRefused) {
		t.Errorf("AttestAgent() of a pod that is gone = %v, want it refused", err)
	}
	create()
	if _, err := attest(policy, token.Status.Token); !rejects(err, tokens.ReasonRefused) {
		t.Errorf("AttestAgent() of a pod that was created again = %v, want it refused", err)
	}
}

func rejects(err error, reason tokens.Reason) bool {
	e, ok := errors.AsType[*tokens.InvalidError](err)
	return ok && e.Reason == reason
}

func TestTokenSecrets(t *testing.T) {
	authority := newCluster(t)
	client := &filled{authority.Cluster, authority}
	for name, ensure := range map[string]func() (*corev1.Secret, error){
		"builder": func() (*corev1.Secret, error) {
			return replacing.MemberCredentials(t.Context(), client, "ci", "builder")
		},
		"builder-token": func() (*corev1.Secret, error) {
			return replacing.EnsureLabelledSecret(t.Context(), client, "ci", "builder")
		},
	} {
		first, err := ensure()
		if err != nil || first.Name != name || len(first.Data["token"]) == 0 {
			t.Fatalf("%s: %+v, %v, want a token", name, first, err)
		}
		if labelled := first.Labels["cattle.io/service-account.name"] == "builder"; labelled != (name == "builder-token") {
			t.Errorf("%s: labels %v", name, first.Labels)
		}
		if again, err := ensure(); err != nil || again.UID != first.UID {
			t.Errorf("%s, again: %v, %v, want the same Secret", name, again, err)
		}
	}
	if err := authority.Cluster.Load(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "other"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := replacing.MemberCredentials(t.Context(), client, "ci", "other"); err == nil {
		t.Error("another one's Secret was taken")
	}
}

func TestManagedTokens(t *testing.T) {
	spoke := newCluster(t)
	label := map[string]string{"authentication.open-cluster-management.io/is-managed-serviceaccount": "true"}
	hub := fake.New(
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "cluster1"}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "cluster1", Name: "builder", Labels: label}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "cluster1", Name: "unrelated"}},
	)
	hub.Now = spoke.Now
	controller, err := replacing.NewManagedTokens(hub, spoke.CreateToken, "ci", []byte("CA"), func(*corev1.Secret) time.Duration { return time.Hour }, spoke.Now)
	if err != nil {
		t.Fatal(err)
	}
	read := func(after time.Duration) string {
		t.Helper()
		spoke.Advance(after)
		if err := hub.Settle(t.Context(), controller); err != nil {
			t.Fatal(err)
		}
		secret, err := hub.GetSecret(t.Context(), "cluster1", "builder")
		if err != nil {
			t.Fatal(err)
		}
		token := string(secret.Data["token"])
		if _, err := spoke.Authenticator.Authenticate(t.Context(), token); err != nil || string(secret.Data["ca.crt"]) != "CA" {
			t.Errorf("after %v: %v, ca.crt %q, want a valid token and the CA", after, err, secret.Data["ca.crt"])
		}
		return token
	}
	first := read(0)
	if read(40*time.Minute) != first {
		t.Error("a fresh token was replaced")
	}
	if read(10*time.Minute) == first {
		t.Error("a token near its end was not replaced")
	}
	if secret, err := hub.GetSecret(t.Context(), "cluster1", "unrelated"); err != nil || len(secret.Data) > 0 {
		t.Errorf("the unrelated Secret: %v, %v", secret, err)
	}
}

func TestTokenMinter(t *testing.T) {
	tenant := newCluster(t)
	dir := t.TempDir()
	folder, err := replacing.NewTokenMinter(dir, tenant.Cluster, tenant.CreateToken, keeper.Want{
		Namespace: "ci", Name: "minted", Audiences: []string{"openshift"}, Lifetime: time.Hour,
	}, tenant.Now)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for range 2 {
		next, err := folder.Sync(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		token, err := os.ReadFile(filepath.Join(dir, "token"))
		if err != nil {
			t.Fatal(err)
		}
		if id, err := tenant.Authenticator.Authenticate(t.Context(), string(token), "openshift"); err != nil || id.Name != "minted" {
			t.Errorf("Authenticate() = %v, %v, want ci/minted", id, err)
		}
		seen[string(token)] = true
		wait := next.Sub(tenant.Now())
		if wait < 40*time.Minute || wait > 50*time.Minute {
			t.Errorf("the next renewal is in %v, want some 80 %% of an hour", wait)
		}
		tenant.Advance(wait)
	}
	if len(seen) != 2 {
		t.Errorf("%d tokens, want one for each renewal", len(seen))
	}
}

func TestPodIdentity(t *testing.T) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder", Annotations: map[string]string{
		"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/r", "eks.amazonaws.com/token-expiration": "60", "azure.workload.identity/client-id": "client",
	}}}
	cluster := fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}}, account)
	plugin, err := admission.New(admission.Config{ServiceAccounts: cluster, DisableWait: true, FurtherVolumes: []furthervolume.Volume{
		replacing.AWSPodIdentity("eu-west-1"), replacing.AzureWorkloadIdentity("tenant"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	admit := func(labels, annotations map[string]string) (*corev1.Pod, error) {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "p", Labels: labels, Annotations: annotations},
			Spec:       corev1.PodSpec{ServiceAccountName: "builder", Containers: []corev1.Container{{Name: "c", Image: "i"}, {Name: "sidecar", Image: "i"}}},
		}
		return pod, plugin.Admit(t.Context(), admission.Request{Operation: admissionv1.Create, Namespace: "ci", Name: "p", Pod: pod})
	}
	pod, err := admit(map[string]string{"azure.workload.identity/use": "true"}, map[string]string{"eks.amazonaws.com/skip-containers": "sidecar"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.CreatePod(t.Context(), pod); err != nil {
		t.Errorf("the API server doesn't accept the pod: %v", err)
	}
	want := map[string]string{
		"c": "AWS_DEFAULT_REGION=eu-west-1 AWS_REGION=eu-west-1 AWS_ROLE_ARN=arn:aws:iam::1:role/r " +
			"AWS_WEB_IDENTITY_TOKEN_FILE=/var/run/secrets/eks.amazonaws.com/serviceaccount/token AZURE_AUTHORITY_HOST=https://login.microsoftonline.com/ " +
			"AZURE_CLIENT_ID=client AZURE_FEDERATED_TOKEN_FILE=/var/run/secrets/azure/wi/token/azure-identity-token AZURE_TENANT_ID=tenant",
		"sidecar": "AZURE_AUTHORITY_HOST=https://login.microsoftonline.com/ AZURE_CLIENT_ID=client " +
			"AZURE_FEDERATED_TOKEN_FILE=/var/run/secrets/azure/wi/token/azure-identity-token AZURE_TENANT_ID=tenant",
	}
	for _, c := range pod.Spec.Containers {
		if got := envOf(c); got != want[c.Name] {
			t.Errorf("container %s has\n%s\nwant\n%s", c.Name, got, want[c.Name])
		}
	}
	lifetimes := map[string]int64{}
	for _, v := range pod.Spec.Volumes {
		lifetimes[v.Name] = *v.Projected.Sources[0].ServiceAccountToken.ExpirationSeconds
	}
	if lifetimes["aws-iam-token"] != 3600 || lifetimes["azure-workload-identity-reserved"] != 3600 {
		t.Errorf("lifetimes %v, want AWS' 60 s raised to an hour, and Azure's default", lifetimes)
	}
	if pod, err := admit(nil, nil); err != nil || strings.Contains(envOf(pod.Spec.Containers[0]), "AZURE") {
		t.Errorf("a pod without the label: %v, %s", err, envOf(pod.Spec.Containers[0]))
	}
	if _, err := admit(map[string]string{"azure.workload.identity/use": "true"}, map[string]string{"azure.workload.identity/service-account-token-expiration": "60"}); !apierrors.IsForbidden(err) {
		t.Errorf("Azure with a minute = %v, want a denial", err)
	}
}

func tokenFor(audience, pod string) *authenticationv1.TokenRequest {
	return &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		Audiences:      []string{audience},
		BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod},
	}}
}

// envOf returns the variables of c, sorted.
func envOf(c corev1.Container) string {
	var env []string
	for _, v := range c.Env {
		env = append(env, v.Name+"="+v.Value)
	}
	slices.Sort(env)
	return strings.Join(env, " ")
}

func TestDashboardAuth(t *testing.T) {
	authority := newCluster(t)
	middleware, err := replacing.NewDashboardAuth(reviewer(t, authority))
	if err != nil {
		t.Fatal(err)
	}
	handler := middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	ask := func(token string) int {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Code
	}
	token := issue(t, authority, "vault", 1<<32, true) // the cache has a clock of its own
	for range 3 {
		if got := ask(token); got != http.StatusNoContent {
			t.Errorf("a good token: %d", got)
		}
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
	if got := ask("x"); got != http.StatusUnauthorized {
		t.Errorf("a bad token: %d", got)
	}
}

func TestHostSecretData(t *testing.T) {
	virtual := newCluster(t)
	cluster := virtual.Cluster
	if err := cluster.Load(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "kube-root-ca.crt"}, Data: map[string]string{"ca.crt": "CA"}}); err != nil {
		t.Fatal(err)
	}
	pod, err := cluster.GetPod(t.Context(), "ci", "job")
	if err != nil {
		t.Fatal(err)
	}
	volume := &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
		{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token"}},
		{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"}}},
		{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.namespace"}}}}},
	}}
	data, expiry, err := replacing.HostSecretData(t.Context(), pod, volume, cluster, virtual.CreateToken)
	if err != nil || string(data["ca.crt"]) != "CA" || string(data["namespace"]) != "ci" || expiry.Sub(virtual.Now()) != time.Hour {
		t.Errorf("HostSecretData() = %v, %v, %v, want token, CA and namespace for an hour", data, expiry, err)
	}
	if id, err := virtual.Authenticator.Authenticate(t.Context(), string(data["token"])); err != nil || id.Pod.Name != "job" {
		t.Errorf("Authenticate() = %v, %v, want the pod's token", id, err)
	}
	if _, _, err := replacing.HostSecretData(t.Context(), pod, &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
		{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "ghost"}}},
	}}, cluster, virtual.CreateToken); err == nil {
		t.Error("a ConfigMap that isn't there is no error")
	}
}
