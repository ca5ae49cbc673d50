package apiserver_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/kubesa/serviceaccount/apiserver"
	"github.com/kubesa/serviceaccount/tokens"
)

// SRV-20..22: what discovery says, and what is not acceptable.
func TestDiscoveryOfTheAPI(t *testing.T) {
	s, _ := newShop(t, nil)
	find := func(groupVersion, name string) metav1.APIResource {
		for _, r := range must(s.admin.Discovery().ServerResourcesForGroupVersion(groupVersion))(t).APIResources {
			if r.Name == name {
				return r
			}
		}
		t.Fatalf("no %s in %s", name, groupVersion)
		return metav1.APIResource{}
	}
	if r := find("v1", "serviceaccounts/token"); r.Group != "authentication.k8s.io" || r.Version != "v1" || r.Kind != "TokenRequest" || !r.Namespaced || !slices.Equal(r.Verbs, []string{"create"}) {
		t.Errorf("got %+v", r)
	}
	for name, singular := range map[string]string{"tokenreviews": "tokenreview", "selfsubjectreviews": "selfsubjectreview"} {
		if r := find("authentication.k8s.io/v1", name); r.SingularName != singular || r.Namespaced || !slices.Equal(r.Verbs, []string{"create"}) {
			t.Errorf("got %+v", r)
		}
	}
	created := s.admin.CoreV1().RESTClient().Post().AbsPath("/api/v1/namespaces/shop/serviceaccounts/web/token").
		Body([]byte(`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest"}`)).SetHeader("Content-Type", "application/json")
	var status int
	if err := created.SetHeader("Accept", "application/json").Do(t.Context()).StatusCode(&status).Error(); err != nil || status != http.StatusCreated {
		t.Errorf("got %d, %v, want 201", status, err)
	}
	if err := created.SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").Do(t.Context()).Error(); !apierrors.IsNotAcceptable(err) {
		t.Errorf("got %v for a table, want 406", err)
	}
}

// SRV-23: validating admission gets a copy, with defaults, once, before bound objects are
// read and after static validation.
func TestCreateValidation(t *testing.T) {
	s, account := newShop(t, nil)
	ctx := request.WithNamespace(t.Context(), "shop")
	var asked []*authenticationv1.TokenRequest
	denial := errors.New("denied by admission")
	validate := func(_ context.Context, o runtime.Object) error {
		tr := o.(*authenticationv1.TokenRequest)
		asked = append(asked, tr.DeepCopy())
		tr.Spec.Audiences = []string{"changed"}
		return nil
	}
	answer := must(s.parts.TokenREST.Create(ctx, "web", &authenticationv1.TokenRequest{}, validate, nil))(t).(*authenticationv1.TokenRequest)
	if len(asked) != 1 || asked[0].UID != account.UID || *asked[0].Spec.ExpirationSeconds != 3600 || answer.Spec.Audiences[0] != "api" {
		t.Errorf("asked about %v, got %v", asked, answer.Spec)
	}
	short := requestFor("api")
	short.Spec.ExpirationSeconds = new(int64(1))
	if _, err := s.parts.TokenREST.Create(ctx, "web", short, validate, nil); !apierrors.IsInvalid(err) || len(asked) != 1 {
		t.Errorf("got %v, asked %d times", err, len(asked))
	}
	bound := requestFor("api")
	bound.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: "ghost"}
	deny := func(context.Context, runtime.Object) error {
		return apierrors.NewForbidden(corev1.Resource("x"), "y", denial)
	}
	if _, err := s.parts.TokenREST.Create(ctx, "web", bound, deny, nil); err == nil || !strings.Contains(err.Error(), denial.Error()) {
		t.Errorf("got %v", err)
	}
	for name, object := range map[string]runtime.Object{"another type": &corev1.Pod{}, "nil": (*authenticationv1.TokenRequest)(nil), "nothing": nil} {
		if _, err := s.parts.TokenREST.Create(ctx, "web", object, nil, nil); !apierrors.IsBadRequest(err) {
			t.Errorf("%s: got %v, want 400", name, err)
		}
	}
	if _, err := s.parts.TokenREST.Create(t.Context(), "web", &authenticationv1.TokenRequest{}, nil, nil); text(err) != "namespace is required" {
		t.Errorf("got %v", err)
	}
	s.parts.TokenREST.Destroy()
}

// SRV-26 and REV: the status for each way to fail.
func TestTokenReviewREST(t *testing.T) {
	down := &tokens.UnavailableError{Subject: "Pod", Err: errors.New("10.0.0.1 is down")}
	invalid := &tokens.InvalidError{Reason: tokens.ReasonExpired}
	good := &authenticator.Response{Audiences: []string{"vault"}, User: &user.DefaultInfo{Name: "u", UID: "1", Groups: []string{"g"}}}
	type seen struct{}
	for _, tt := range []struct {
		name      string
		response  *authenticator.Response
		ok        bool
		err       error
		audiences []string
		wantError string
		want500   bool
	}{
		{name: "good", response: good, ok: true, audiences: []string{"x", "vault"}},
		{name: "not recognized"},
		{name: "invalid", err: invalid, wantError: "tokens: service account token has expired"},
		{name: "unavailable", err: down, wantError: "tokens: the token could not be verified, try again"},
		{name: "unavailable to one of a union", err: utilerrors.NewAggregate([]error{invalid, utilerrors.NewAggregate([]error{down})}), wantError: "tokens: the token could not be verified, try again"},
		{name: "two errors", err: utilerrors.NewAggregate([]error{invalid, errors.New("x")}), wantError: "[tokens: service account token has expired, x]"},
		{name: "other audiences", response: good, ok: true, audiences: []string{"x"}, want500: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx := context.WithValue(t.Context(), seen{}, true)
			r := must(apiserver.NewTokenReviewREST(nil, authenticator.RequestFunc(func(r *http.Request) (*authenticator.Response, bool, error) {
				audiences, _ := authenticator.AudiencesFrom(r.Context())
				want := tt.audiences
				if len(want) == 0 {
					want = []string{"api"}
				}
				if r.Header.Get("Authorization") != "Bearer token" || len(r.Header) != 1 || !slices.Equal(audiences, want) || r.Context().Value(seen{}) != true {
					t.Errorf("asked with %v for %q", r.Header, audiences)
				}
				return tt.response, tt.ok, tt.err
			}), []string{"api"}))(t)
			review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: "token", Audiences: tt.audiences}}
			answer, err := r.Create(ctx, review, nil, nil)
			if tt.want500 {
				if !apierrors.IsInternalError(err) {
					t.Errorf("got %v, want 500", err)
				}
				return
			}
			check(t, err)
			status := answer.(*authenticationv1.TokenReview).Status
			if got := answer.(*authenticationv1.TokenReview).Spec.Token; got != "" {
				t.Errorf("the answer has the token %q", got) // REV-8
			}
			if status.Error != tt.wantError || status.Authenticated != tt.ok || tt.ok && (status.User.Extra == nil || status.User.Username != "u") {
				t.Errorf("got %+v", status)
			}
			if review.Spec.Token == "" || review.Status.Authenticated || review.Status.Error != "" {
				t.Error("the argument was changed")
			}
		})
	}
	if _, err := apiserver.NewTokenReviewREST(nil, nil, nil); text(err) != "apiserver: TokenReviewREST.Requests is required, want the authenticator of the server\napiserver: TokenReviewREST.APIAudiences is empty, want at least one" {
		t.Errorf("got %v", err)
	}
}

// REV-16: what is no single token isn't the first word of it.
func TestTokenReviewOfWords(t *testing.T) {
	s, _ := newShop(t, nil)
	token := must(s.createToken(t, requestFor("api")))(t).Status.Token
	for _, text := range []string{token + " x", " " + token, token + "\n", token + "\u00a0"} {
		if got := s.review(t, text); got.Authenticated || got.Error != "invalid bearer token" {
			t.Errorf("got %+v", got)
		}
	}
}

// SRV-27.
func TestSelfSubjectReview(t *testing.T) {
	s, _ := newShop(t, nil)
	token := must(s.createToken(t, requestFor("api")))(t).Status.Token
	s.allow.Store(rule("system:serviceaccount:shop:web", "create", "authentication.k8s.io", "selfsubjectreviews", "/apis/authentication.k8s.io/v1/selfsubjectreviews"), true)
	got := must(s.client(t, token, nil).AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{}))(t)
	info := got.Status.UserInfo
	if info.Username != "system:serviceaccount:shop:web" || !slices.Contains(info.Groups, user.AllAuthenticated) || len(info.Extra) != 1 || got.CreationTimestamp.IsZero() {
		t.Errorf("got %+v", got)
	}
	r := apiserver.NewSelfSubjectReviewREST(nil)
	if _, err := r.Create(t.Context(), r.New(), nil, nil); !apierrors.IsBadRequest(err) || err.Error() != "no user present on request" {
		t.Errorf("got %v", err)
	}
	ctx := request.WithUser(t.Context(), &user.DefaultInfo{Name: "u"})
	if answer := must(r.Create(ctx, r.New(), nil, nil))(t).(*authenticationv1.SelfSubjectReview); answer.Status.UserInfo.Extra == nil {
		t.Error("extra is nil")
	}
}

// SRV-31, SRV-32.
func TestIssuerDiscovery(t *testing.T) {
	s, _ := newShop(t, nil)
	token := must(s.createToken(t, requestFor("api")))(t).Status.Token
	paths := apiserver.ClusterRoles()[2].Rules[0].NonResourceURLs
	for _, path := range paths {
		if got := s.get(t, path, token).StatusCode; got != http.StatusForbidden {
			t.Errorf("%s without the role: got %d", path, got)
		}
		s.allow.Store(rule("system:serviceaccount:shop:web", "get", "", "", path), true)
		response := s.get(t, path, token)
		contentType := "application/json"
		if strings.Contains(path, "jwks") {
			contentType = "application/jwk-set+json"
		}
		if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != contentType || response.Header.Get("Cache-Control") != "public, max-age=3600" {
			t.Errorf("%s: got %d, %v", path, response.StatusCode, response.Header)
		}
	}
	if len(paths) != 4 {
		t.Errorf("got paths %q", paths)
	}
	var status int
	s.admin.CoreV1().RESTClient().Post().AbsPath("/openid/v1/jwks").Do(t.Context()).StatusCode(&status)
	if status != http.StatusMethodNotAllowed {
		t.Errorf("a POST got %d", status)
	}
	for _, binding := range apiserver.ClusterRoleBindings() {
		if binding.RoleRef.Name == apiserver.RoleIssuerDiscovery && (len(binding.Subjects) != 1 || binding.Subjects[0].Name != "system:serviceaccounts") {
			t.Errorf("got %+v", binding)
		}
	}
}
