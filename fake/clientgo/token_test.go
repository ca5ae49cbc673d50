package clientgo_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authenticationv1beta1 "k8s.io/api/authentication/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubernetesfake "k8s.io/client-go/kubernetes/fake"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/clientgo"
)

// What clientset issues is a real token, and what it says of a token is a real
// verdict.
func TestTokens(t *testing.T) {
	clientset, authority := world(t)
	raw := token(t, clientset, "ci", "default", authenticationv1.TokenRequestSpec{})
	if parts := strings.Split(raw, "."); len(parts) != 3 {
		t.Fatalf("the token has %d parts, want those of a JWT", len(parts))
	}
	got := review(t, clientset, raw)
	if !got.Authenticated || got.User.Username != "system:serviceaccount:ci:default" {
		t.Errorf("the status is %+v, want the account to be authenticated", got)
	}
	// REV-8, REV-15
	if groups := []string{"system:serviceaccounts", "system:serviceaccounts:ci", "system:authenticated"}; !slices.Equal(got.User.Groups, groups) {
		t.Errorf("the groups are %q, want %q", got.User.Groups, groups)
	}
	if want := []string{fake.AuthorityIssuer}; !slices.Equal(got.Audiences, want) {
		t.Errorf("the audiences are %q, want %q", got.Audiences, want)
	}
	if got := review(t, clientset, raw, "vault"); got.Authenticated || got.Error == "" {
		t.Errorf("for another audience the status is %+v, want an error", got)
	}

	authority.Advance(2 * time.Hour)
	if got := review(t, clientset, raw); got.Authenticated || !strings.Contains(got.Error, "expired") {
		t.Errorf("after 2 h the status is %+v, want the token to be expired", got)
	}
	authority.Advance(-2 * time.Hour)
	if err := clientset.CoreV1().ServiceAccounts("ci").Delete(t.Context(), "default", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := review(t, clientset, raw); got.Authenticated || got.Error == "" {
		t.Errorf("after the account is gone the status is %+v, want an error", got)
	}
	// REV-9
	if got := review(t, clientset, "fake-token"); got.Authenticated || got.Error != "invalid bearer token" {
		t.Errorf("for no token at all the status is %+v, want %q", got, "invalid bearer token")
	}
}

// A token that is bound to a Pod holds as long as the Pod is there.
func TestBoundToken(t *testing.T) {
	clientset, _ := world(t)
	pods := clientset.CoreV1().Pods("ci")
	if _, err := pods.Create(t.Context(), pod("ci", "build-1", "default"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	raw := token(t, clientset, "ci", "default", authenticationv1.TokenRequestSpec{
		BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: "build-1"},
	})
	got := review(t, clientset, raw)
	if name := got.User.Extra["authentication.kubernetes.io/pod-name"]; !got.Authenticated || !slices.Equal(name, []string{"build-1"}) {
		t.Errorf("the status is %+v, want the Pod in it", got)
	}
	if err := pods.Delete(t.Context(), "build-1", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := review(t, clientset, raw); got.Authenticated {
		t.Error("the token holds without its Pod")
	}
}

func TestBadTokenRequests(t *testing.T) {
	clientset, _ := world(t, pod("ci", "other", "builder"))
	short, long := int64(599), int64(1<<32+1)
	tests := []struct {
		name               string
		namespace, account string
		request            *authenticationv1.TokenRequest
		reason             metav1.StatusReason
		text               string
	}{
		{name: "nil", reason: metav1.StatusReasonBadRequest, text: "non-nil TokenRequest"},
		{
			name:    "for another namespace (REQ-3)",
			request: &authenticationv1.TokenRequest{ObjectMeta: metav1.ObjectMeta{Namespace: "default"}},
			reason:  metav1.StatusReasonBadRequest,
			text:    "the namespace of the provided object does not match the namespace sent on the request",
		},
		{
			name:    "for another name (REQ-5)",
			request: &authenticationv1.TokenRequest{ObjectMeta: metav1.ObjectMeta{Name: "builder"}},
			reason:  metav1.StatusReasonInvalid, text: "must match the service account name if specified",
		},
		{name: "unknown account (REQ-7)", account: "nobody", request: &authenticationv1.TokenRequest{}, reason: metav1.StatusReasonNotFound, text: `serviceaccounts "nobody" not found`},
		{name: "unknown namespace (REQ-7)", namespace: "nowhere", request: &authenticationv1.TokenRequest{}, reason: metav1.StatusReasonNotFound, text: `namespaces "nowhere" not found`},
		{
			name:    "of another account (REQ-8)",
			request: &authenticationv1.TokenRequest{ObjectMeta: metav1.ObjectMeta{UID: "somebody"}},
			reason:  metav1.StatusReasonConflict, text: "does not match the UID of the service account",
		},
		{
			name:    "too short (REQ-20)",
			request: &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &short}},
			reason:  metav1.StatusReasonInvalid, text: "may not specify a duration less than 10 minutes",
		},
		{
			name:    "too long (REQ-21)",
			request: &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &long}},
			reason:  metav1.StatusReasonInvalid, text: "may not specify a duration larger than 2^32 seconds",
		},
		{
			name: "bound to a Pod that is not there (REQ-30)",
			request: &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
				BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: "gone"},
			}},
			reason: metav1.StatusReasonNotFound, text: `pods "gone" not found`,
		},
		{
			name: "bound to the Pod of another account (REQ-31)",
			request: &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
				BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: "other"},
			}},
			reason: metav1.StatusReasonBadRequest, text: "pod running with different serviceaccount name",
		},
		{
			name:    "audience that is no text",
			request: &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{"\xff"}}},
			reason:  metav1.StatusReasonBadRequest, text: "not valid UTF-8",
		},
		{name: "no account", account: "-", request: &authenticationv1.TokenRequest{}, reason: metav1.StatusReasonBadRequest},
		{name: "no namespace", namespace: "-", request: &authenticationv1.TokenRequest{}, reason: metav1.StatusReasonBadRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			or := func(s, other string) string {
				if s == "" {
					return other
				}
				return strings.Trim(s, "-")
			}
			_, err := clientset.CoreV1().ServiceAccounts(or(tt.namespace, "ci")).CreateToken(t.Context(), or(tt.account, "default"), tt.request, metav1.CreateOptions{})
			wantReason(t, err, tt.reason)
			if err != nil && !strings.Contains(err.Error(), tt.text) {
				t.Errorf("the error is %q, want %q in it", err, tt.text)
			}
		})
	}
}

// REV-1..3: what is no question has no verdict.
func TestBadTokenReviews(t *testing.T) {
	clientset, _ := world(t)
	ctx := t.Context()
	_, err := clientset.AuthenticationV1().TokenReviews().Create(ctx, nil, metav1.CreateOptions{})
	wantReason(t, err, metav1.StatusReasonBadRequest)
	_, err = clientset.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{}, metav1.CreateOptions{})
	wantReason(t, err, metav1.StatusReasonBadRequest)
	answer, err := clientset.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ci"}, Spec: authenticationv1.TokenReviewSpec{Token: "x"},
	}, metav1.CreateOptions{}) // the namespace is ignored, as by the API server
	if err != nil || answer.Status.Authenticated || answer.Status.Error == "" {
		t.Errorf("Create() of a TokenReview in a namespace = %v, %v, want a verdict", answer, err)
	}
	_, err = clientset.AuthenticationV1beta1().TokenReviews().Create(ctx, &authenticationv1beta1.TokenReview{
		Spec: authenticationv1beta1.TokenReviewSpec{Token: "x"},
	}, metav1.CreateOptions{})
	wantReason(t, err, metav1.StatusReasonNotFound)
	_, err = clientset.AuthenticationV1().SelfSubjectReviews().Create(ctx, nil, metav1.CreateOptions{})
	wantReason(t, err, metav1.StatusReasonBadRequest)
}

// A clientset with a token works as long as the token holds.
func TestLogin(t *testing.T) {
	admin, authority := world(t)
	raw := token(t, admin, "ci", "default", authenticationv1.TokenRequestSpec{})
	clientset := kubernetesfake.NewClientset()
	install(t, clientset, clientgo.Config{Authority: authority, Token: raw})
	ctx := t.Context()
	self := func() (string, error) {
		answer, err := clientset.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		return answer.Status.UserInfo.Username, err
	}

	if name, err := self(); name != "system:serviceaccount:ci:default" || err != nil {
		t.Errorf("SelfSubjectReview says %q, %v, want the account", name, err)
	}
	if _, err := clientset.CoreV1().Secrets("ci").List(ctx, metav1.ListOptions{}); err != nil {
		t.Errorf("List() = %v, want no error", err)
	}
	if last := authority.Cluster.Actions(); last[len(last)-1].Actor != "system:serviceaccount:ci:default" {
		t.Errorf("the last action is one of %q, want the account", last[len(last)-1].Actor)
	}

	authority.Advance(2 * time.Hour)
	_, err := self()
	wantReason(t, err, metav1.StatusReasonUnauthorized)
	core := clientset.CoreV1()
	_, err = core.Secrets("ci").List(ctx, metav1.ListOptions{})
	wantReason(t, err, metav1.StatusReasonUnauthorized)
	_, err = core.Secrets("ci").Watch(ctx, metav1.ListOptions{})
	wantReason(t, err, metav1.StatusReasonUnauthorized)
	_, err = core.ServiceAccounts("ci").Create(ctx, account("ci", "builder"), metav1.CreateOptions{})
	wantReason(t, err, metav1.StatusReasonUnauthorized)
	_, err = core.ServiceAccounts("ci").CreateToken(ctx, "default", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	wantReason(t, err, metav1.StatusReasonUnauthorized)
	wantReason(t, core.Secrets("ci").Delete(ctx, "password", metav1.DeleteOptions{}), metav1.StatusReasonUnauthorized)

	answer, err := admin.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil || answer.Status.UserInfo.Username != "system:admin" {
		t.Errorf("without a token, SelfSubjectReview says %q, %v, want system:admin", answer.Status.UserInfo.Username, err)
	}
}
