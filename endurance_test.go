package serviceaccount_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/admission/webhook"
	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
	"github.com/kubesa/serviceaccount/tokens/tokenreview"
)

// enduranceEnv says how long TestEndurance goes on, such as 20m. Without it, it makes
// a fixed number of requests.
const enduranceEnv = "ENDURANCE"

// Two live servers, one of HTTP/1.1 and one of HTTP/2, answer the admission webhook
// and token reviews while lookups fail, hang and panic, and clients send slow and
// cut bodies, garbage, and go away. Answers stay right, and nothing is left behind:
// no goroutine, memory or descriptor.
func TestEndurance(t *testing.T) {
	e := newEndurance(t)
	// The first part fills caches and pools, the second may need no more.
	e.load(t)
	before := e.settle()
	e.load(t)
	after := e.settle()
	t.Logf("%d requests: %d allowed, %d authenticated; %+v before, %+v after", e.requests.Load(), e.allowed.Load(), e.authenticated.Load(), before, after)
	if after.goroutines > before.goroutines+3 {
		stacks := make([]byte, 1<<20)
		t.Errorf("%d goroutines, %d after the first part:\n%s", after.goroutines, before.goroutines, stacks[:runtime.Stack(stacks, true)])
	}
	if after.descriptors > before.descriptors+3 {
		t.Errorf("%d open descriptors, %d after the first part", after.descriptors, before.descriptors)
	}
	if after.heap > before.heap+4<<20 {
		t.Errorf("%d bytes of heap, %d after the first part", after.heap, before.heap)
	}
	if e.allowed.Load() == 0 || e.authenticated.Load() == 0 {
		t.Error("no good request was answered")
	}
}

type endurance struct {
	servers  []*httptest.Server
	hostile  []func(ctx context.Context, server *httptest.Server)
	tokens   []string
	lookups  atomic.Int64
	requests atomic.Int64

	allowed, authenticated atomic.Int64
}

const enduranceTimeout = 200 * time.Millisecond // of the handlers

func newEndurance(t *testing.T) *endurance {
	e := &endurance{}
	cluster := fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "default"}})
	getter := getterFunc(func(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
		switch n := e.lookups.Add(1); {
		case n%13 == 0:
			return nil, errors.New("the store is down")
		case n%101 == 0:
			<-ctx.Done()
			return nil, ctx.Err()
		case n%59 == 0:
			panic("the store is broken")
		}
		defer cluster.ClearActions() // or the fake's record of calls grows for ever
		return cluster.GetServiceAccount(ctx, namespace, name)
	})
	key := must(keys.Generate(keys.ES256))
	issuer := must(tokenissuer.New(tokenissuer.Config{Issuer: "https://shop.example", Signer: must(keys.NewSigner(key))}))
	authenticator := must(tokens.NewAuthenticator(tokens.AuthenticatorConfig{
		Issuers: []string{"https://shop.example"}, APIAudiences: []string{"shop"},
		Keys: must(keys.NewSet(key.Public())), ServiceAccounts: getter,
	}))
	account := must(cluster.GetServiceAccount(t.Context(), "shop", "default"))
	for range 50 {
		e.tokens = append(e.tokens, must(issuer.Issue(t.Context(), tokenissuer.Request{ServiceAccount: account, Audiences: []string{"shop"}, Lifetime: 10 * time.Hour})).Value)
	}
	mux := http.NewServeMux()
	mux.Handle("/admit", must(webhook.New(must(admission.New(admission.Config{ServiceAccounts: getter})), webhook.Config{Timeout: enduranceTimeout})))
	mux.Handle("/review", must(tokenreview.NewHandler(tokenreview.HandlerConfig{Verifier: authenticator, Timeout: enduranceTimeout})))
	for _, http2 := range []bool{false, true} {
		server := httptest.NewUnstartedServer(mux)
		server.EnableHTTP2 = http2
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.Config.ReadHeaderTimeout = time.Minute
		server.StartTLS()
		t.Cleanup(server.Close)
		e.servers = append(e.servers, server)
	}
	e.hostile = []func(context.Context, *httptest.Server){e.slow, e.cut, e.leave, e.large, e.garbage, e.silent}
	return e
}

type getterFunc func(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error)

func (f getterFunc) GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return f(ctx, namespace, name)
}

// load sends requests from eight clients, good ones and hostile ones.
func (e *endurance) load(t *testing.T) {
	t.Helper()
	goOn := func(done int) bool { return done < 30 }
	if text := os.Getenv(enduranceEnv); text != "" {
		long, err := time.ParseDuration(text)
		if err != nil {
			t.Fatalf("%s: %v", enduranceEnv, err)
		}
		end := time.Now().Add(long / 2)
		goOn = func(int) bool { return time.Now().Before(end) }
	}
	var clients sync.WaitGroup
	for c := range 8 {
		random := rand.New(rand.NewPCG(1, uint64(c)))
		clients.Go(func() {
			for done := 0; goOn(done); done++ {
				e.requests.Add(1)
				server := e.servers[random.IntN(len(e.servers))]
				switch n := random.IntN(20); {
				case n < 7:
					e.admit(t, server, random)
				case n < 14:
					e.review(t, server, random)
				default:
					e.hostile[n-14](t.Context(), server)
				}
			}
		})
	}
	clients.Wait()
}

func (e *endurance) post(ctx context.Context, server *httptest.Server, path string, body io.Reader) (int, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+path, body)
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := server.Client().Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

// admit asks for the admission of a pod of the account, or of one that isn't there.
func (e *endurance) admit(t *testing.T, server *httptest.Server, random *rand.Rand) {
	account := [...]string{"default", "default", "missing"}[random.IntN(3)]
	body := fmt.Sprintf(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","kind":{"group":"","version":"v1","kind":"Pod"},`+
		`"resource":{"group":"","version":"v1","resource":"pods"},"namespace":"shop","name":"web","operation":"CREATE",`+
		`"object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web"},"spec":{"serviceAccountName":%q,"containers":[{"name":"c","image":"i"}]}}}}`, account)
	status, answer, err := e.post(t.Context(), server, "/admit", strings.NewReader(body))
	if e.late(status, err) {
		return
	}
	var review admissionv1.AdmissionReview
	err = json.Unmarshal(answer, &review)
	switch response := review.Response; {
	case err != nil || status != http.StatusOK || response == nil:
		t.Errorf("the webhook answers a review with %d %s (%v)", status, answer, err)
	case response.Allowed && (account == "missing" || !strings.Contains(string(response.Patch), "serviceAccountToken")):
		t.Errorf("a pod of account %q is allowed: %s", account, answer)
	case response.Allowed:
		e.allowed.Add(1)
	}
}

// review asks who has a token, which may be broken.
func (e *endurance) review(t *testing.T, server *httptest.Server, random *rand.Rand) {
	token, good := e.tokens[random.IntN(len(e.tokens))], random.IntN(3) > 0
	if !good {
		at := strings.LastIndexByte(token, '.') + 1 + random.IntN(80)
		other := byte('A')
		if token[at] == other {
			other = 'B'
		}
		token = token[:at] + string(other) + token[at+1:]
	}
	body := fmt.Sprintf(`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":%q}}`, token)
	status, answer, err := e.post(t.Context(), server, "/review", strings.NewReader(body))
	if e.late(status, err) {
		return
	}
	var review authenticationv1.TokenReview
	err = json.Unmarshal(answer, &review)
	switch {
	case err != nil || status != http.StatusOK:
		t.Errorf("the handler answers a review with %d %s (%v)", status, answer, err)
	case review.Status.Authenticated && (!good || review.Status.User.Username != "system:serviceaccount:shop:default"):
		t.Errorf("a token (good: %t) is taken for %s", good, answer)
	case review.Status.Authenticated:
		e.authenticated.Add(1)
	}
}

// late reports whether a request had no answer in time, on a busy machine, or none
// because its connection was closed for what another request had sent.
func (e *endurance) late(status int, err error) bool {
	return err != nil || slices.Contains([]int{http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusServiceUnavailable}, status)
}

var endurancePaths = []string{"/admit", "/review"}

// slow sends the beginning of a body and nothing more.
func (e *endurance) slow(ctx context.Context, server *httptest.Server) {
	reader, writer := io.Pipe()
	defer writer.Close()
	go func() { _, _ = io.WriteString(writer, `{"apiVersion":`) }()
	_, _, _ = e.post(ctx, server, endurancePaths[int(e.requests.Load())%2], reader)
	_ = reader.Close()
}

// cut ends a body with an error of the client.
func (e *endurance) cut(ctx context.Context, server *httptest.Server) {
	body := io.MultiReader(strings.NewReader(`{"apiVersion":"`), errorReader{})
	_, _, _ = e.post(ctx, server, endurancePaths[int(e.requests.Load())%2], body)
}

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, errors.New("the client has no more") }

// leave cancels a request that waits for its answer.
func (e *endurance) leave(ctx context.Context, server *httptest.Server) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(e.requests.Load()%5)*time.Millisecond)
	defer cancel()
	body := fmt.Sprintf(`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":%q}}`, e.tokens[0])
	_, _, _ = e.post(ctx, server, "/review", strings.NewReader(body))
}

// large sends more than either handler takes.
func (e *endurance) large(ctx context.Context, server *httptest.Server) {
	_, _, _ = e.post(ctx, server, endurancePaths[int(e.requests.Load())%2], io.LimitReader(zeros{}, 8<<20))
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// garbage talks TLS, but no HTTP.
func (e *endurance) garbage(ctx context.Context, server *httptest.Server) {
	e.dial(ctx, server, "\x00\x01garbage\r\n\r\n")
}

// silent connects, says nothing, and goes away.
func (e *endurance) silent(ctx context.Context, server *httptest.Server) { e.dial(ctx, server, "") }

func (e *endurance) dial(ctx context.Context, server *httptest.Server, text string) {
	pool := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: pool, ServerName: "example.com"}}
	conn, err := dialer.DialContext(ctx, "tcp", server.Listener.Addr().String())
	if err != nil {
		return
	}
	_, _ = io.WriteString(conn, text)
	_ = conn.Close()
}

// holdings are what the process holds.
type holdings struct {
	goroutines, descriptors int
	heap                    uint64
}

// settle closes idle connections and waits until the process holds no less any more.
func (e *endurance) settle() holdings {
	least := holdings{goroutines: 1 << 30}
	for unchanged := 0; unchanged < 20; unchanged++ {
		for _, server := range e.servers {
			server.Client().CloseIdleConnections()
		}
		time.Sleep(50 * time.Millisecond)
		runtime.GC()
		now := held()
		if now.goroutines < least.goroutines || now.goroutines == least.goroutines && now.heap+64<<10 < least.heap {
			least, unchanged = now, 0
		}
	}
	return least
}

func held() holdings {
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	descriptors, _ := os.ReadDir("/proc/self/fd") // elsewhere there are none to count
	return holdings{runtime.NumGoroutine(), len(descriptors), memory.HeapAlloc}
}
