package webhook_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/admission/internal/admissiontest"
	"github.com/kubesa/serviceaccount/admission/webhook"
	web "github.com/kubesa/serviceaccount/internal/webhook"
)

// repeat joins n elements by commas.
func repeat(n int, element func(i int) string) string {
	var list strings.Builder
	for i := range n {
		list.WriteString(element(i))
		list.WriteByte(',')
	}
	return strings.TrimSuffix(list.String(), ",")
}

func same(element string) func(int) string { return func(int) string { return element } }

// hostileReviews are reviews with n elements, or texts of n words, which are as
// costly as they can be.
var hostileReviews = []struct {
	name   string
	config func(*admission.Config)
	review func(n int) string
	kept   bool // each element is an item: at most 20,000 are
	text   bool // a single value, in which the time is not looked at
}{
	{name: "containers", kept: true, review: func(n int) string { return reviewOf(`{"spec":{"containers":[` + repeat(n, same(`{}`)) + `]}}`) }},
	{name: "null containers", kept: true, review: func(n int) string {
		return reviewOf(`{"spec":{"containers":[` + repeat(n/2, same(`null`)) + `],"initContainers":[` + repeat(n/2, same(`null`)) + `]}}`)
	}},
	{name: "opted out containers", kept: true, config: func(c *admission.Config) { c.OptOutAnnotation = "example.com/no-token" }, review: func(n int) string {
		return reviewOf(`{"metadata":{"annotations":{"example.com/no-token":"` + repeat(n, func(i int) string { return fmt.Sprint("d", i) }) +
			`"}},"spec":{"containers":[` + repeat(n, func(i int) string { return fmt.Sprintf(`{"name":"c%d"}`, i) }) + `]}}`)
	}},
	{name: "list of opted out containers", text: true, config: func(c *admission.Config) { c.OptOutAnnotation = "example.com/no-token" }, review: func(n int) string {
		return reviewOf(`{"metadata":{"annotations":{"example.com/no-token":"` + repeat(n, func(i int) string { return fmt.Sprint(i) }) + `"}},"spec":{"containers":[{}]}}`)
	}},
	{name: "mounts", kept: true, review: func(n int) string {
		return reviewOf(`{"spec":{"containers":[{"volumeMounts":[` + repeat(n, same(`{}`)) + `]}]}}`)
	}},
	{name: "mounts in a mess", kept: true, config: admissiontest.Strict, review: func(n int) string {
		return reviewOf(`{"spec":{"containers":[{"volumeMounts":[` + repeat(n, same(`{"mountPath":"/..//x/../"}`)) + `]}]}}`)
	}},
	{name: "volumes with the next name", kept: true, config: admissiontest.Strict, review: func(n int) string {
		return reviewOf(`{"spec":{"containers":[{}],"volumes":[{"name":"kube-api-access-abc12"},` + repeat(n, func(i int) string { return fmt.Sprintf(`{"name":"kube-api-access-%d"}`, i+2) }) + `]}}`)
	}},
	{name: "a long name of the token volume", kept: true, review: func(n int) string {
		return reviewOf(`{"spec":{"containers":[` + repeat(n, same(`{}`)) + `],"volumes":[{"name":"kube-api-access-` + strings.Repeat("x", 9*n) + `","projected":{"sources":[{"serviceAccountToken":{"path":"token"}}]}}]}}`)
	}},
	{name: "a long name of the token Secret's volume", kept: true, config: func(c *admission.Config) {
		objects := have(account("default", admissiontest.Lists("t1")), admissiontest.TokenSecret("t1", "default", "uid-1"))
		c.TokenVolume, c.ServiceAccounts, c.Secrets = admission.SecretBacked, objects, objects
	}, review: func(n int) string {
		return reviewOf(`{"spec":{"containers":[` + repeat(n, same(`{}`)) + `],"volumes":[{"name":"` + strings.Repeat("x", 9*n) + `","secret":{"secretName":"t1"}}]}}`)
	}},
	{name: "volumes of another audience", kept: true, review: func(n int) string {
		return reviewOf(`{"spec":{"containers":[{}],"volumes":[` + repeat(n/2, func(i int) string {
			return fmt.Sprintf(`{"name":"kube-api-access-%d","projected":{"sources":[{"serviceAccountToken":{"path":"token","audience":"x"}}]}}`, i+2)
		}) + `]}}`)
	}},
	{name: "sources", kept: true, review: func(n int) string {
		return reviewOf(`{"spec":{"volumes":[{"projected":{"sources":[` + repeat(n, same(`{"secret":{}}`)) + `]}}]}}`)
	}},
	{name: "items of sources", review: func(n int) string {
		return reviewOf(`{"spec":{"volumes":[{"secret":{"items":[` + repeat(n, same(`{}`)) + `]},"projected":{"sources":[{"configMap":{"items":[` + repeat(n, same(`{}`)) + `]},"downwardAPI":{"items":[` + repeat(n, same(`{}`)) + `]}}]}}]}}`)
	}},
	{name: "pull secrets", kept: true, review: func(n int) string {
		return reviewOf(`{"spec":{"serviceAccountName":"default","imagePullSecrets":[` + repeat(n, same(`{}`)) + `]}}`)
	}},
	{name: "environment", kept: true, config: admissiontest.Limit, review: func(n int) string {
		return reviewOf(`{"spec":{"containers":[{"env":[` + repeat(n, same(`{"valueFrom":{"secretKeyRef":{}}}`)) + `]}]}}`)
	}},
	{name: "environment of no Secrets", review: func(n int) string {
		return reviewOf(`{"spec":{"containers":[{"env":[` + repeat(n, same(`{}`)) + `],"envFrom":[` + repeat(n, same(`{}`)) + `]}]}}`)
	}},
	{name: "ephemeral containers", kept: true, config: admissiontest.Limit, review: func(n int) string {
		return reviewOf(`{"spec":{"serviceAccountName":"default","ephemeralContainers":[`+repeat(n, same(`{}`))+`]}}`, ephemeralUpdate)
	}},
	{name: "annotations", review: func(n int) string {
		return reviewOf(`{"metadata":{"annotations":{` + repeat(n, func(i int) string { return fmt.Sprintf(`"%d":""`, i) }) + `}}}`)
	}},
	{name: "long names of one length", review: func(n int) string {
		return reviewOf(`{"metadata":{"x":[` + repeat(n/20, same(`{`+repeat(20, func(i int) string { return `"` + strings.Repeat("x", 100) + string(rune('a'+i)) + `":0` })+`}`)) + `]}}`)
	}},
	{name: "names with escapes", review: func(n int) string {
		return reviewOf(`{"metadata":{"labels":{` + repeat(n, func(i int) string { return fmt.Sprintf(`"\u0061\ud83d\ude00%d":""`, i) }) + `}}}`)
	}},
	{name: "text with escapes", text: true, review: func(n int) string {
		return reviewOf(`{"spec":{"serviceAccountName":"` + strings.Repeat(`\u0061\n\ud83d\ude00`, n) + `"}}`)
	}},
	{name: "numbers", review: func(n int) string { return reviewOf(`{"spec":{"x":[` + repeat(n, same(`1`)) + `]}}`) }},
	{name: "arrays in arrays", review: func(n int) string {
		return reviewOf(`{"spec":{"x":[` + repeat(n/100, same(strings.Repeat("[", 100)+strings.Repeat("]", 100))) + `]}}`)
	}},
	{name: "long list of groups", review: func(n int) string {
		return reviewOf(`{}`, func(r *admissionv1.AdmissionRequest) { r.UserInfo.Groups = make([]string, n) })
	}},
	{name: "old object", review: func(n int) string {
		return reviewOf(``, func(r *admissionv1.AdmissionRequest) {
			r.Operation, r.OldObject.Raw = admissionv1.Update, []byte(`{"metadata":{"annotations":{`+repeat(n, func(i int) string { return fmt.Sprintf(`"%d":""`, i) })+`}}}`)
		})
	}},
}

func hostileHandler(t testing.TB, config func(*admission.Config)) *webhook.Handler {
	t.Helper()
	if config == nil {
		config = func(*admission.Config) {}
	}
	h, err := webhook.New(plugin(t, have(account("default", admissiontest.Lists(""))), config), webhook.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// Reading, deciding and writing take time and memory that are linear in the bytes
// of a review. Time is counted in looks at the clock, of which there is one for so
// many steps.
func TestReviewsAreLinear(t *testing.T) {
	const n = 1500
	for _, tt := range hostileReviews {
		t.Run(tt.name, func(t *testing.T) {
			h := hostileHandler(t, tt.config)
			measure := func(n int) (looks, allocated, answer float64) {
				body := tt.review(n)
				ctx := &admissiontest.EndingContext{Context: t.Context(), Until: 1 << 30}
				var text []byte
				allocatedBytes := admissiontest.AllocatedBy(func() {
					var err error
					if text, err = webhook.Review(ctx, h, body); err != nil {
						t.Fatal(err)
					}
				})
				return float64(ctx.Looks), float64(allocatedBytes), float64(len(text))
			}
			measure(4 * n) // fills the pools
			looks, allocated, answer := measure(n)
			looks4, allocated4, answer4 := measure(4 * n)
			if looks4 > 4.5*looks+3 || looks4 < 3 && !tt.text {
				t.Errorf("%v looks at the clock for %d elements and %v for %d, want about four times as many", looks, n, looks4, 4*n)
			}
			if allocated4 > 6*allocated+256<<10 {
				t.Errorf("%v bytes for %d elements and %v for %d, want about four times as many", allocated, n, allocated4, 4*n)
			}
			if answer4 > 4.5*answer+1000 {
				t.Errorf("answers of %v and %v bytes, want about four times as many", answer, answer4)
			}
		})
	}
}

// H09: a review that takes long ends in time, wherever it is: 503 while it is read,
// then a retryable denial. It is never allowed.
func TestLongReviewsEndInTime(t *testing.T) {
	for _, tt := range hostileReviews {
		t.Run(tt.name, func(t *testing.T) {
			h, body := hostileHandler(t, tt.config), tt.review(3_000)
			all := &admissiontest.EndingContext{Context: t.Context(), Until: 1 << 30}
			if _, err := webhook.Review(all, h, body); err != nil {
				t.Fatal(err)
			}
			for until := 0; until < all.Looks; until += 1 + all.Looks/6 {
				text, err := webhook.Review(&admissiontest.EndingContext{Context: t.Context(), Until: until}, h, body)
				if e, ok := errors.AsType[*web.Error](err); ok && e.Status == 503 {
					continue
				}
				var answer admissionv1.AdmissionReview
				if err := json.Unmarshal(text, &answer); err != nil {
					t.Fatalf("Review() = %.100s: %v", text, err)
				}
				if r := answer.Response; r.Allowed || r.Patch != nil || r.Result.Code != 504 || r.Result.Details.RetryAfterSeconds != 1 {
					t.Fatalf("Review() = %.300s after %d looks, want a retryable timeout", text, until)
				}
			}
		})
	}
}

// BenchmarkHostileReviews compares with what encoding/json takes to decode the pod
// alone: at most ten times as long, for reviews of 3 MiB.
func BenchmarkHostileReviews(b *testing.B) {
	for _, tt := range hostileReviews {
		b.Run(tt.name, func(b *testing.B) {
			n, size := 1000, len(tt.review(1000))
			if n = int(float64(n) * (3 << 20) / float64(size) * 0.95); tt.kept {
				n = min(n, 19_000)
			}
			body := tt.review(n)
			var review struct {
				Request struct{ Object json.RawMessage }
			}
			if err := json.Unmarshal([]byte(body), &review); err != nil {
				b.Fatal(err)
			}
			h := hostileHandler(b, tt.config)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := webhook.Review(b.Context(), h, body); err != nil {
					b.Fatal(err)
				}
			}
			start, ours := time.Now(), b.Elapsed().Seconds()/float64(b.N)
			for range 3 {
				var pod corev1.Pod
				_ = json.Unmarshal([]byte(body), &admissionv1.AdmissionReview{})
				_ = json.Unmarshal(review.Request.Object, &pod) // one that is no pod takes less
			}
			b.ReportMetric(ours/(time.Since(start).Seconds()/3), "x-encoding/json")
		})
	}
}
