package saprometheus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/admission/webhook"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/external"
	saprometheus "github.com/kubesa/serviceaccount/prometheus"
	"github.com/kubesa/serviceaccount/sacontroller/legacytoken"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/bearer"
	"github.com/kubesa/serviceaccount/tokens/cached"
	"github.com/kubesa/serviceaccount/tokens/keeper"
	"github.com/kubesa/serviceaccount/tokens/lastused"
	"github.com/kubesa/serviceaccount/tokens/objectcache"
	"github.com/kubesa/serviceaccount/tokens/tokenrequest"
	"github.com/kubesa/serviceaccount/tokens/tokenreview"
	"github.com/kubesa/serviceaccount/tokens/tokensource"
)

var (
	errRejected = &tokens.InvalidError{Reason: tokens.ReasonExpired}
	errOutage   = &tokens.UnavailableError{Subject: "Pod", Err: errors.New("timeout")}
	errForeign  = &tokens.NotRecognizedError{Reason: tokens.ReasonForeignIssuer}
	errNotFound = apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, "a")
	errRefused  = errors.New("connection refused")
)

// A call is an Event for the hook of a call by gRPC.
type call struct{ code string }

func (c call) Outcome() (string, time.Duration) { return c.code, time.Second }

// Each hook gets Events, and the test says what there is to read then, histograms as
// their number of observations. Metrics that are 0 are left out.
func TestHooks(t *testing.T) {
	ctx := context.Background()
	later := time.Now().Add(time.Hour)
	tests := []struct {
		name string
		do   func(*saprometheus.Metrics)
		want string
	}{
		{"authenticator", func(m *saprometheus.Metrics) { // SRV-17
			observe := m.Authenticator(nil)
			observe(ctx, tokens.Event{Name: "a"})
			observe(ctx, tokens.Event{Name: "a", SignatureCached: true, Extended: true})
			observe(ctx, tokens.Event{Name: "a", SignatureCached: true, Extended: true, Stale: time.Second})
			observe(ctx, tokens.Event{Name: "a", ImpliedAudiences: true, Legacy: &tokens.LegacyUse{Generated: true}})
			observe(ctx, tokens.Event{Name: "a", ImpliedAudiences: true, Legacy: &tokens.LegacyUse{}})
			observe(ctx, tokens.Event{Name: "a", ImpliedAudiences: true, Legacy: &tokens.LegacyUse{Generated: true, MarkedInvalid: true},
				Err: &tokens.InvalidError{Reason: tokens.ReasonMarkedInvalid}, Reason: tokens.ReasonMarkedInvalid})
			observe(ctx, tokens.Event{ImpliedAudiences: true, Err: errForeign, Reason: errForeign.Reason})
			observe(ctx, tokens.Event{Err: errOutage, Reason: tokens.ReasonUnavailable})
		}, `
serviceaccount_authentication_duration_seconds{result="accepted"} 5
serviceaccount_authentication_duration_seconds{result="not_recognized"} 1
serviceaccount_authentication_duration_seconds{result="rejected"} 1
serviceaccount_authentication_duration_seconds{result="unavailable"} 1
serviceaccount_authentications_total{reason="",result="accepted"} 5
serviceaccount_authentications_total{reason="ForeignIssuer",result="not_recognized"} 1
serviceaccount_authentications_total{reason="MarkedInvalid",result="rejected"} 1
serviceaccount_authentications_total{reason="Unavailable",result="unavailable"} 1
serviceaccount_invalid_legacy_auto_token_uses_total 1
serviceaccount_legacy_auto_token_uses_total 1
serviceaccount_legacy_manual_token_uses_total 1
serviceaccount_legacy_tokens_total 3
serviceaccount_signatures_total{cache="hit"} 2
serviceaccount_signatures_total{cache="miss"} 4
serviceaccount_stale_tokens_total 1
serviceaccount_valid_tokens_total 1`},
		{"cached", func(m *saprometheus.Metrics) { // TRC-46
			observe := m.Cached(nil)
			observe(ctx, cached.Event{Asked: true})
			observe(ctx, cached.Event{Asked: true, Err: errRejected})
			observe(ctx, cached.Event{Asked: true, Err: errOutage})
			observe(ctx, cached.Event{Err: errOutage})
			observe(ctx, cached.Event{Hit: true})
		}, `
authentication_token_cache_fetch_total{status="error"} 1
authentication_token_cache_fetch_total{status="ok"} 2
authentication_token_cache_request_duration_seconds{status="hit"} 1
authentication_token_cache_request_duration_seconds{status="miss"} 4
authentication_token_cache_request_total{status="hit"} 1
authentication_token_cache_request_total{status="miss"} 4`},
		{"objectcache", func(m *saprometheus.Metrics) {
			observe := m.ObjectCache(nil)
			observe(ctx, objectcache.Event{Kind: "Pod"})
			observe(ctx, objectcache.Event{Kind: "Pod", Err: errNotFound})
			observe(ctx, objectcache.Event{Kind: "Pod", Err: errNotFound, Hit: true})
			observe(ctx, objectcache.Event{Kind: "Made-Up", Err: errRefused, Joined: true})
			observe(ctx, objectcache.Event{Kind: "Made-Up", Err: errRefused})
		}, `
serviceaccount_object_cache_requests_total{kind="Pod",status="hit"} 1
serviceaccount_object_cache_requests_total{kind="Pod",status="miss"} 2
serviceaccount_object_cache_requests_total{kind="other",status="joined"} 1
serviceaccount_object_cache_requests_total{kind="other",status="miss"} 1
serviceaccount_object_lookup_duration_seconds{result="error"} 1
serviceaccount_object_lookup_duration_seconds{result="found"} 1
serviceaccount_object_lookup_duration_seconds{result="not_found"} 1
serviceaccount_object_lookups_total{kind="Pod",result="found"} 1
serviceaccount_object_lookups_total{kind="Pod",result="not_found"} 1
serviceaccount_object_lookups_total{kind="other",result="error"} 1`},
		{"tokenrequest", func(m *saprometheus.Metrics) {
			observe := m.TokenRequest(nil)
			observe(ctx, tokenrequest.Event{Result: tokenrequest.ResultIssued})
			observe(ctx, tokenrequest.Event{Result: tokenrequest.ResultDenied, Reason: metav1.StatusReasonForbidden})
			observe(ctx, tokenrequest.Event{Result: tokenrequest.ResultFailed, Reason: "name-of-a-tenant"})
		}, `
serviceaccount_token_request_duration_seconds{result="denied"} 1
serviceaccount_token_request_duration_seconds{result="failed"} 1
serviceaccount_token_request_duration_seconds{result="issued"} 1
serviceaccount_token_requests_total{reason="",result="issued"} 1
serviceaccount_token_requests_total{reason="Forbidden",result="denied"} 1
serviceaccount_token_requests_total{reason="other",result="failed"} 1`},
		{"tokenreview", func(m *saprometheus.Metrics) {
			observe := m.TokenReview(nil)
			observe(ctx, tokenreview.Event{HTTPStatus: 200, Authenticated: true})
			observe(ctx, tokenreview.Event{HTTPStatus: 429})
		}, `
serviceaccount_token_review_duration_seconds{code="200"} 1
serviceaccount_token_review_duration_seconds{code="429"} 1
serviceaccount_token_reviews_total{authenticated="false",code="429"} 1
serviceaccount_token_reviews_total{authenticated="true",code="200"} 1`},
		{"tokenreview client", func(m *saprometheus.Metrics) { // TRC-46
			observe := m.TokenReviewClient(nil)
			observe(ctx, tokenreview.ClientEvent{Attempts: []tokenreview.Attempt{{}, {HTTPStatus: 500}, {HTTPStatus: 201}}})
			observe(ctx, tokenreview.ClientEvent{Err: errForeign})
		}, `
apiserver_delegated_authn_request_duration_seconds{code="201"} 1
apiserver_delegated_authn_request_duration_seconds{code="500"} 1
apiserver_delegated_authn_request_duration_seconds{code="<error>"} 1
apiserver_delegated_authn_request_total{code="201"} 1
apiserver_delegated_authn_request_total{code="500"} 1
apiserver_delegated_authn_request_total{code="<error>"} 1
serviceaccount_remote_authentication_duration_seconds{result="accepted"} 1
serviceaccount_remote_authentication_duration_seconds{result="not_recognized"} 1
serviceaccount_remote_authentications_total{result="accepted"} 1
serviceaccount_remote_authentications_total{result="not_recognized"} 1`},
		{"bearer", func(m *saprometheus.Metrics) {
			for _, status := range []int{0, 400, 401, 403, 503} {
				m.Bearer(nil)(ctx, bearer.Event{Status: status})
			}
			saprometheus.Calls[call](m, nil)(ctx, call{"OK"})
		}, `
serviceaccount_bearer_call_duration_seconds{code="OK"} 1
serviceaccount_bearer_calls_total{code="OK"} 1
serviceaccount_bearer_request_duration_seconds{result="bad_request"} 1
serviceaccount_bearer_request_duration_seconds{result="forbidden"} 1
serviceaccount_bearer_request_duration_seconds{result="passed"} 1
serviceaccount_bearer_request_duration_seconds{result="unauthenticated"} 1
serviceaccount_bearer_request_duration_seconds{result="unavailable"} 1
serviceaccount_bearer_requests_total{result="bad_request"} 1
serviceaccount_bearer_requests_total{result="forbidden"} 1
serviceaccount_bearer_requests_total{result="passed"} 1
serviceaccount_bearer_requests_total{result="unauthenticated"} 1
serviceaccount_bearer_requests_total{result="unavailable"} 1`},
		{"tokens that are kept", func(m *saprometheus.Metrics) {
			m.LastUsed(nil)(ctx, lastused.Event{Err: errRefused})
			m.Keeper(nil)(ctx, keeper.Event{Expiry: later})
			m.Keeper(nil)(ctx, keeper.Event{Expiry: later, Err: errRefused})
			m.Keeper(nil)(ctx, keeper.Event{Err: errRefused})
			m.TokenSource("api", nil)(ctx, tokensource.Event{Expiry: time.Unix(1e10, 0)})
			m.TokenSource("api", nil)(ctx, tokensource.Event{Expiry: time.Unix(1e10, 0), Err: errRefused})
			m.TokenSource("silent", nil)(ctx, tokensource.Event{Err: errRefused})
			m.TokenFile("api", nil)(ctx, tokensource.FileEvent{Err: errRefused, Expiry: time.Unix(1, 0)})
		}, `
serviceaccount_kept_token_renewal_duration_seconds{result="error"} 1
serviceaccount_kept_token_renewal_duration_seconds{result="expired"} 1
serviceaccount_kept_token_renewal_duration_seconds{result="success"} 1
serviceaccount_kept_token_renewals_total{result="error"} 1
serviceaccount_kept_token_renewals_total{result="expired"} 1
serviceaccount_kept_token_renewals_total{result="success"} 1
serviceaccount_last_used_write_duration_seconds{result="error"} 1
serviceaccount_last_used_writes_total{result="error"} 1
serviceaccount_token_file_failures_total{result="expired",source="api"} 1
serviceaccount_token_source_expiry_timestamp_seconds{source="api"} 1e+10
serviceaccount_token_source_renewal_duration_seconds{source="api"} 2
serviceaccount_token_source_renewal_duration_seconds{source="silent"} 1
serviceaccount_token_source_renewals_total{result="error",source="api"} 1
serviceaccount_token_source_renewals_total{result="expired",source="silent"} 1
serviceaccount_token_source_renewals_total{result="success",source="api"} 1`},
		{"keys", func(m *saprometheus.Metrics) {
			observe := m.Keys("ring", nil)
			observe(ctx, keys.Event{Keys: 2, Changed: true})
			observe(ctx, keys.Event{Keys: 2, Skipped: []error{errRefused}})
			observe(ctx, keys.Event{Keys: 2, Err: errRefused})
		}, `
serviceaccount_key_source_events_total{result="changed",source="ring"} 1
serviceaccount_key_source_events_total{result="error",source="ring"} 1
serviceaccount_key_source_events_total{result="unchanged",source="ring"} 1
serviceaccount_key_source_failing{source="ring"} 1
serviceaccount_key_source_read_duration_seconds{source="ring"} 3
serviceaccount_keys_skipped{source="ring"} 1
serviceaccount_keys{source="ring"} 2`},
		{"external signer", func(m *saprometheus.Metrics) { // SRV-19
			observe := m.ExternalSigner(nil)
			observe(ctx, external.Event{Method: external.MethodSign, Code: "OK"})
			observe(ctx, external.Event{Method: external.MethodSign, Code: "OK", Err: keys.ErrMismatch})
			observe(ctx, external.Event{Method: external.MethodSign, Code: "Unavailable", Err: errRefused})
			observe(ctx, external.Event{Method: external.MethodFetchKeys, Code: "OK", DataTimestamp: time.Unix(7, 0)})
			observe(ctx, external.Event{Method: external.MethodFetchKeys, Code: "Unavailable", Err: errRefused, DataTimestamp: time.Unix(8, 0)})
			observe(ctx, external.Event{Method: external.MethodMetadata, Code: "OK"})
			m.ExternalServer(nil)(ctx, external.Event{Method: external.MethodSign, Code: "OK"})
		}, `
apiserver_externaljwt_fetch_keys_data_timestamp 7
apiserver_externaljwt_fetch_keys_request_total{code="OK"} 1
apiserver_externaljwt_fetch_keys_request_total{code="Unavailable"} 1
apiserver_externaljwt_fetch_keys_success_timestamp 9.466848e+08
apiserver_externaljwt_request_duration_seconds{code="OK",method="/v1.ExternalJWTSigner/FetchKeys"} 1
apiserver_externaljwt_request_duration_seconds{code="OK",method="/v1.ExternalJWTSigner/Metadata"} 1
apiserver_externaljwt_request_duration_seconds{code="OK",method="/v1.ExternalJWTSigner/Sign"} 2
apiserver_externaljwt_request_duration_seconds{code="Unavailable",method="/v1.ExternalJWTSigner/FetchKeys"} 1
apiserver_externaljwt_request_duration_seconds{code="Unavailable",method="/v1.ExternalJWTSigner/Sign"} 1
apiserver_externaljwt_sign_request_total{code="OK"} 1
apiserver_externaljwt_sign_request_total{code="Unavailable"} 1
apiserver_externaljwt_sign_request_total{code="unknown-non-grpc"} 1
serviceaccount_external_signer_answer_duration_seconds{method="Sign"} 1
serviceaccount_external_signer_answers_total{code="OK",method="Sign"} 1`},
		{"webhook", func(m *saprometheus.Metrics) {
			observe := m.Webhook(nil)
			observe(ctx, webhook.Event{HTTPStatus: 200, Operation: "CREATE", Allowed: true, PatchBytes: 1})
			observe(ctx, webhook.Event{HTTPStatus: 200, Operation: "CREATE"})
			observe(ctx, webhook.Event{HTTPStatus: 200, Operation: "UPDATE", Allowed: true})
			observe(ctx, webhook.Event{HTTPStatus: 400, Operation: "made up"})
			observe(ctx, webhook.Event{HTTPStatus: 200, Operation: "CREATE", Panic: "p"})
		}, `
serviceaccount_admission_review_duration_seconds{operation="CREATE"} 3
serviceaccount_admission_review_duration_seconds{operation="UPDATE"} 1
serviceaccount_admission_review_duration_seconds{operation="other"} 1
serviceaccount_admission_reviews_total{operation="CREATE",result="denied"} 1
serviceaccount_admission_reviews_total{operation="CREATE",result="panic"} 1
serviceaccount_admission_reviews_total{operation="CREATE",result="patched"} 1
serviceaccount_admission_reviews_total{operation="UPDATE",result="allowed"} 1
serviceaccount_admission_reviews_total{operation="other",result="bad"} 1
serviceaccount_panics_total{hook="webhook"} 1`},
		{"controllers", func(m *saprometheus.Metrics) { // CTB-18
			observe, clean := m.RootCA(nil), m.Cleaner(nil)
			const publisher = "root-ca-certificate-publisher-controller"
			observe(ctx, rootca.Event{Controller: publisher})
			observe(ctx, rootca.Event{Controller: publisher, Err: fmt.Errorf("creating: %w", apierrors.NewConflict(schema.GroupResource{}, "a", errRefused))})
			observe(ctx, rootca.Event{Controller: "kube-apiserver-serving-clustertrustbundle-publisher-controller", Err: errRefused})
			observe(ctx, rootca.Event{Controller: "kube-apiserver-serving-clustertrustbundle-publisher-controller", Err: &apierrors.StatusError{}})
			observe(ctx, rootca.Event{Controller: "another"})
			clean(ctx, legacytoken.Event{Report: &legacytoken.Report{Decisions: []legacytoken.Decision{
				{Action: legacytoken.Keep, Reason: legacytoken.Mounted},
			}}})
			clean(ctx, legacytoken.Event{Report: &legacytoken.Report{Decisions: []legacytoken.Decision{
				{Action: legacytoken.Keep, Reason: legacytoken.Used},
				{Action: legacytoken.Invalidate, Reason: legacytoken.Unused},
				{Action: legacytoken.Delete, Reason: legacytoken.Invalid, Err: errRefused},
			}}})
			clean(ctx, legacytoken.Event{})                                                        // no round
			clean(ctx, legacytoken.Event{Report: &legacytoken.Report{Problem: "no day to start"}}) // nor this
		}, `
clustertrustbundle_publisher_sync_duration_seconds{code="500"} 2
clustertrustbundle_publisher_sync_total{code="500"} 2
root_ca_cert_publisher_sync_duration_seconds{code="200"} 1
root_ca_cert_publisher_sync_duration_seconds{code="409"} 1
root_ca_cert_publisher_sync_total{code="200"} 1
root_ca_cert_publisher_sync_total{code="409"} 1
serviceaccount_legacy_token_cleanups_total{action="delete",result="error"} 1
serviceaccount_legacy_token_cleanups_total{action="invalidate",result="success"} 1
serviceaccount_legacy_tokens{reason="Invalid"} 1
serviceaccount_legacy_tokens{reason="Unused"} 1
serviceaccount_legacy_tokens{reason="Used"} 1`},
		{"a cleaner that only looks", func(m *saprometheus.Metrics) {
			m.Cleaner(nil)(ctx, legacytoken.Event{Report: &legacytoken.Report{DryRun: true, Decisions: []legacytoken.Decision{
				{Action: legacytoken.Delete, Reason: legacytoken.Invalid},
			}}})
		}, `
serviceaccount_legacy_tokens{reason="Invalid"} 1`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				registry := prometheus.NewPedanticRegistry()
				m, err := saprometheus.New(saprometheus.Config{Registerer: registry})
				if err != nil {
					t.Fatal(err)
				}
				tt.do(m)
				if got, want := dump(t, registry), strings.TrimSpace(tt.want); got != want {
					t.Errorf("got\n%s\nwant\n%s", got, want)
				}
			})
		})
	}
}

// Panics are counted under the name of the hook.
func TestPanics(t *testing.T) {
	ctx, registry := t.Context(), prometheus.NewRegistry()
	m, err := saprometheus.New(saprometheus.Config{Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	m.Authenticator(nil)(ctx, tokens.Event{Panic: "p"})
	m.TokenReview(nil)(ctx, tokenreview.Event{Panic: "p"})
	m.TokenReviewClient(nil)(ctx, tokenreview.ClientEvent{Panic: "p"})
	m.Bearer(nil)(ctx, bearer.Event{Panic: "p"})
	m.Cached(nil)(ctx, cached.Event{Panic: "p"})
	m.ObjectCache(nil)(ctx, objectcache.Event{Panic: "p"})
	m.TokenRequest(nil)(ctx, tokenrequest.Event{Panic: "p"})
	m.LastUsed(nil)(ctx, lastused.Event{Panic: "p"})
	m.Keeper(nil)(ctx, keeper.Event{Panic: "p"})
	m.TokenSource("api", nil)(ctx, tokensource.Event{Panic: "p"})
	m.Keys("ring", nil)(ctx, keys.Event{Panic: "p"})
	m.ExternalSigner(nil)(ctx, external.Event{Panic: "p"})
	m.Webhook(nil)(ctx, webhook.Event{Panic: "p"})
	const want = `serviceaccount_panics_total{hook="authenticator"} 1
serviceaccount_panics_total{hook="bearer"} 1
serviceaccount_panics_total{hook="cached"} 1
serviceaccount_panics_total{hook="external_signer"} 1
serviceaccount_panics_total{hook="keeper"} 1
serviceaccount_panics_total{hook="keys"} 1
serviceaccount_panics_total{hook="lastused"} 1
serviceaccount_panics_total{hook="objectcache"} 1
serviceaccount_panics_total{hook="tokenrequest"} 1
serviceaccount_panics_total{hook="tokenreview"} 1
serviceaccount_panics_total{hook="tokenreview_client"} 1
serviceaccount_panics_total{hook="tokensource"} 1
serviceaccount_panics_total{hook="webhook"} 1`
	got := slices.DeleteFunc(strings.Split(dump(t, registry), "\n"), func(line string) bool { return !strings.HasPrefix(line, "serviceaccount_panics") })
	if got := strings.Join(got, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// dump returns what is not 0, one metric a line.
func dump(t *testing.T, gatherer prometheus.Gatherer) string {
	t.Helper()
	families, err := gatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, family := range families {
		if family.GetHelp() == "" {
			t.Errorf("%s has no help", family.GetName())
		}
		for _, metric := range family.Metric {
			var labels []string
			for _, pair := range metric.Label {
				labels = append(labels, fmt.Sprintf("%s=%q", pair.GetName(), pair.GetValue()))
			}
			name := family.GetName()
			if len(labels) > 0 {
				name += "{" + strings.Join(labels, ",") + "}"
			}
			value := metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
			if value != 0 {
				lines = append(lines, fmt.Sprintf("%s %g", name, value))
			}
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// Histograms have the buckets that their help and Kubernetes promise.
func TestBuckets(t *testing.T) {
	registry := prometheus.NewRegistry()
	m, err := saprometheus.New(saprometheus.Config{Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	m.Bearer(nil)(t.Context(), bearer.Event{})
	m.Keeper(nil)(t.Context(), keeper.Event{})
	m.RootCA(nil)(t.Context(), rootca.Event{Controller: "root-ca-certificate-publisher-controller"}) // CTB-18
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, family := range families {
		for _, metric := range family.Metric {
			if b := metric.GetHistogram().GetBucket(); len(b) > 0 {
				got[family.GetName()] = fmt.Sprintf("%d from %.4g to %.4g s", len(b), b[0].GetUpperBound(), b[len(b)-1].GetUpperBound())
			}
		}
	}
	for name, want := range map[string]string{
		"serviceaccount_bearer_request_duration_seconds":     "9 from 0.0001 to 6.554 s",
		"serviceaccount_kept_token_renewal_duration_seconds": "10 from 0.001 to 19.68 s",
		"root_ca_cert_publisher_sync_duration_seconds":       "15 from 0.001 to 16.38 s",
	} {
		if got[name] != want {
			t.Errorf("%s has the buckets %q, want %q", name, got[name], want)
		}
	}
}

// The program's own hook is called once for each Event, with the same one.
func TestNext(t *testing.T) {
	m, err := saprometheus.New(saprometheus.Config{Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	type key struct{}
	var got []tokens.Event
	observe := m.Authenticator(func(ctx context.Context, e tokens.Event) {
		if ctx.Value(key{}) == nil {
			t.Error("the context is another one")
		}
		got = append(got, e)
	})
	observe(context.WithValue(t.Context(), key{}, 1), tokens.Event{Name: "a"})
	if len(got) != 1 || got[0].Name != "a" {
		t.Errorf("got %v, want the Event once", got)
	}
}

// Either everything is registered or nothing, and what k8s.io/apiserver has too can be
// left to it.
func TestNewRegisters(t *testing.T) {
	registry := prometheus.NewRegistry()
	taken := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "authentication_token_cache_fetch_total"}, []string{"status"})
	if err := registry.Register(taken); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second finds nothing of the first
		if _, err := saprometheus.New(saprometheus.Config{Registerer: registry}); err == nil || !strings.Contains(err.Error(), "authentication_token_cache_fetch_total") {
			t.Errorf("New() = %v, want an error that names the metric", err)
		}
	}
	m, err := saprometheus.New(saprometheus.Config{Registerer: registry, InAPIServer: true})
	if err != nil {
		t.Fatal(err)
	}
	m.Cached(nil)(t.Context(), cached.Event{})
	m.TokenReviewClient(nil)(t.Context(), tokenreview.ClientEvent{Attempts: []tokenreview.Attempt{{}}})
	want := "serviceaccount_remote_authentication_duration_seconds{result=\"accepted\"} 1\nserviceaccount_remote_authentications_total{result=\"accepted\"} 1"
	if got := dump(t, registry); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	_, err = saprometheus.New(saprometheus.Config{Registerer: registry})
	if err == nil {
		t.Error("two Metrics were registered under the same names")
	}
	if _, err := saprometheus.New(saprometheus.Config{Registerer: prometheus.WrapRegistererWithPrefix("b_", registry)}); err != nil {
		t.Errorf("New() with a prefix = %v", err)
	}
	var none *prometheus.Registry
	for _, r := range []prometheus.Registerer{nil, none} {
		_, err := saprometheus.New(saprometheus.Config{Registerer: r})
		if _, ok := errors.AsType[*saprometheus.ConfigError](err); !ok {
			t.Errorf("New() = %v, want a ConfigError", err)
		}
	}
}
