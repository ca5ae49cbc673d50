package compat

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/internal/compat/controlplane"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens"
)

// The program that is tested, and what it may do.
const (
	managerModule = "../../sacontroller/manager"
	managerRoles  = managerModule + "/cmd/serviceaccount-manager/manifests/rbac.yaml"
	managerUser   = "system:serviceaccount:kube-system:serviceaccount-manager"
)

// patience is how long something may take that needs several tries: after an API
// server was away, client-go's reflectors wait for up to a minute.
const patience = 5 * time.Minute

// TestManagerSurvives runs two serviceaccount-managers against a real control
// plane in the middle of a storm of changes, through a proxy that fails requests,
// loses answers and cuts watches; kills the one that holds the lease, and etcd, and
// kube-apiserver. When the dust has settled, everything is in order:
// the safety S1, S3 and S6 and the liveness E1 to E5 of the invariants. The
// managers have the rights of their manifests and no others.
//
// SERVICEACCOUNT_LONG=1 makes it a longer storm.
func TestManagerSurvives(t *testing.T) {
	changes := 400
	if os.Getenv("SERVICEACCOUNT_LONG") != "" {
		changes = 10_000
	}
	const seed = 7
	m := newManagedCluster(t, seed)
	server, client, proxy := m.server, m.client, m.proxy
	history := watchTokens(t, client)
	start := func(name string) *replica {
		return m.start(t, name, "--http-bind-address=",
			"--leader-elect-lease-duration=3s", "--leader-elect-renew-deadline=2s", "--leader-elect-retry-period=300ms")
	}

	phase := time.Now()
	lap := func(what string) { t.Logf("%5.1fs %s", time.Since(phase).Seconds(), what); phase = time.Now() }
	proxy.rough.Store(true)
	storm := newStorm(client, seed)
	first := start("first")
	storm.run(t, changes/4)
	waitFor(t, patience, "the first replica to hold the lease", storm.unheld)
	lap("lease held")
	second := start("second")
	storm.run(t, changes/4)
	first.kill() // the holder of the lease, with SIGKILL
	storm.run(t, changes/4)
	for _, victim := range []string{"etcd", "kube-apiserver"} {
		var wg sync.WaitGroup
		wg.Go(func() { storm.run(t, changes/8) })
		if err := server.Restart(t.Context(), victim); err != nil {
			t.Fatal(err)
		}
		lap("restart")
		wg.Wait()
		lap("storm over")
	}
	proxy.rough.Store(false)

	world := m.world()
	waitFor(t, patience, "everything to be in order", world.disorder)
	lap("settled")

	// What failed is still tried again, and caches are still behind.
	var before int64
	var since time.Time
	waitFor(t, patience, "three seconds without a write", func(context.Context) []string {
		if now := proxy.writes.Load(); now != before || since.IsZero() {
			before, since = now, time.Now()
		}
		if time.Since(since) < 3*time.Second {
			return []string{"somebody writes"}
		}
		return nil
	})
	// S6, E5: the world doesn't change, so nobody writes, whatever the watches do.
	writes := proxy.writes.Load()
	proxy.cutWatches()
	quiet, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	<-quiet.Done()
	if got := proxy.writes.Load() - writes; got != 0 {
		t.Errorf("%d writes in a world that is in order, want none", got)
	}
	if disorder := world.disorder(t.Context()); len(disorder) > 0 {
		t.Errorf("order didn't last: %s", strings.Join(disorder, "; "))
	}
	for _, complaint := range append(proxy.complaints(), history.complaints()...) {
		t.Error(complaint)
	}
	lap("checked")
	first.stop(t)
	second.stop(t)
	t.Logf("%d changes, %d requests, %d of them failed on purpose, %d writes, %d tokens checked; %d and %d starts of the replicas",
		storm.done.Load(), proxy.requests.Load(), proxy.failures.Load(), writes, world.tokens, first.starts.Load(), second.starts.Load())
	if proxy.failures.Load() == 0 || world.tokens == 0 {
		t.Error("the test didn't test anything")
	}
}

// A managedCluster is a real control plane with the program that manages it, which
// reaches it through a proxy and has the rights of its manifests and no others.
type managedCluster struct {
	server  *controlplane.ControlPlane
	client  *kubernetes.Clientset
	proxy   *roughProxy
	key     crypto.Signer
	dir     string
	program string
}

func newManagedCluster(t *testing.T, seed uint64) *managedCluster {
	t.Helper()
	m := &managedCluster{key: must(keys.Generate("ES256")), dir: t.TempDir()}
	m.server = must(controlplane.Start(t.Context(), controlplane.Config{
		Issuer: "https://issuer.example", Audiences: []string{"api"},
		SigningKey: m.key, PublicKeys: []crypto.PublicKey{m.key.Public()},
	}))
	t.Cleanup(func() { m.server.Stop() })
	if out, err := m.server.Kubectl(t.Context(), "create", "--validate=false", "-f", managerRoles); err != nil {
		t.Fatalf("creating the roles: %v\n%s", err, out)
	}
	config := m.server.Admin()
	m.client = must(kubernetes.NewForConfig(config))
	config.Impersonate = rest.ImpersonationConfig{UserName: managerUser, Groups: []string{"system:serviceaccounts", "system:authenticated"}}
	m.proxy = newRoughProxy(t, config, seed)
	m.program = filepath.Join(m.dir, "serviceaccount-manager")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-C", managerModule, "-o", m.program, "./cmd/serviceaccount-manager").CombinedOutput(); err != nil {
		t.Fatalf("building the program: %v\n%s", err, out)
	}
	for name, data := range map[string][]byte{"sa.key": must(keys.EncodePrivateKey(m.key)), "ca.crt": m.server.CA()} {
		if err := os.WriteFile(filepath.Join(m.dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// start starts the program, with args after those that it needs.
func (m *managedCluster) start(t *testing.T, name string, args ...string) *replica {
	r := startReplica(t, filepath.Join(m.dir, name+".log"), m.program, append([]string{
		"--master=" + m.proxy.url, "--service-account-private-key-file=" + filepath.Join(m.dir, "sa.key"), "--root-ca-file=" + filepath.Join(m.dir, "ca.crt"),
		"--kube-api-qps=500", "--kube-api-burst=500",
	}, args...)...)
	t.Cleanup(func() {
		if t.Failed() {
			m.proxy.logWatches(t, name)
		}
	})
	return r
}

func (m *managedCluster) world() *managedWorld {
	return &managedWorld{client: m.client, ca: string(m.server.CA()), authenticator: must(tokens.NewAuthenticator(tokens.AuthenticatorConfig{
		Legacy: true, Keys: must(keys.NewSet(m.key.Public())), APIAudiences: []string{"api"},
		ServiceAccounts: serviceaccount.FromCoreV1(m.client.CoreV1()),
		Secrets:         serviceaccount.FromCoreV1(m.client.CoreV1()),
	}))}
}

// waitFor polls until what is wrong is nothing any more.
func waitFor(t *testing.T, timeout time.Duration, what string, wrong func(context.Context) []string) {
	t.Helper()
	var last []string
	err := wait.PollUntilContextTimeout(t.Context(), 200*time.Millisecond, timeout, true, func(ctx context.Context) (bool, error) {
		if now := wrong(ctx); ctx.Err() == nil {
			last = now
			return len(last) == 0, nil
		}
		return false, nil // the end of ctx made everything wrong
	})
	if err != nil {
		t.Fatalf("waiting for %s: %v; %d things are wrong:\n%s", what, err, len(last), strings.Join(last[:min(len(last), 20)], "\n"))
	}
}

// A replica is a process that is started again whenever it ends.
type replica struct {
	starts atomic.Int64
	log    string
	cancel context.CancelFunc
	done   chan struct{}

	mu  sync.Mutex
	cmd *exec.Cmd
}

func startReplica(t *testing.T, log, program string, args ...string) *replica {
	t.Helper()
	out := must(os.Create(log))
	ctx, cancel := context.WithCancel(context.Background())
	r := &replica{log: log, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		defer out.Close()
		for ctx.Err() == nil {
			cmd := exec.Command(program, args...)
			cmd.Stdout, cmd.Stderr = out, out
			r.mu.Lock()
			err := cmd.Start()
			r.cmd = cmd
			r.mu.Unlock()
			if err != nil {
				fmt.Fprintln(out, "starting:", err)
				return
			}
			r.starts.Add(1)
			stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(os.Interrupt) })
			_ = cmd.Wait()
			stop()
		}
	}()
	t.Cleanup(func() {
		cancel()
		r.kill()
		<-r.done
		if data, err := os.ReadFile(log); t.Failed() && err == nil {
			t.Logf("the end of %s:\n%s", log, data[max(0, len(data)-20_000):])
		}
	})
	return r
}

func (r *replica) kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cmd != nil && r.cmd.Process != nil {
		_ = r.cmd.Process.Kill()
	}
}

// stop interrupts the process, which has to end by itself.
func (r *replica) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	select {
	case <-r.done:
	case <-time.After(30 * time.Second):
		t.Error("a replica didn't end within 30 seconds of an interrupt")
	}
}

// A storm creates, changes and deletes accounts, Secrets and ConfigMaps.
type storm struct {
	client *kubernetes.Clientset
	random *rand.Rand
	done   atomic.Int64
}

const stormNamespaces = 4

func newStorm(client *kubernetes.Clientset, seed uint64) *storm {
	return &storm{client: client, random: rand.New(rand.NewPCG(seed, seed))}
}

func stormNamespace(i int) string { return fmt.Sprintf("storm-%d", i%stormNamespaces) }

// unheld says so while nobody holds the lease.
func (s *storm) unheld(ctx context.Context) []string {
	lease, err := s.client.CoordinationV1().Leases("kube-system").Get(ctx, "serviceaccount-manager", metav1.GetOptions{})
	if err != nil || lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" {
		return []string{"nobody holds the lease"}
	}
	return nil
}

// run makes n attempts at a change. Those that fail because the control plane is
// down, or because an object is there already or no more, are as good as others.
func (s *storm) run(t *testing.T, n int) {
	ctx := t.Context()
	core := s.client.CoreV1()
	for range n {
		namespace := stormNamespace(s.random.IntN(stormNamespaces))
		account := fmt.Sprintf("account-%d", s.random.IntN(4))
		secret := fmt.Sprintf("%s-token-%s", account, []string{"bcdfg", "hjklm", "npqrs", "tvwxz"}[s.random.IntN(4)])
		var err error
		switch s.random.IntN(10) {
		case 0:
			_, err = core.Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{})
		case 1, 2:
			_, err = core.ServiceAccounts(namespace).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: account}}, metav1.CreateOptions{})
		case 3:
			err = core.ServiceAccounts(namespace).Delete(ctx, account, metav1.DeleteOptions{})
		case 4, 5, 6:
			_, err = core.Secrets(namespace).Create(ctx, &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Name: secret, Annotations: map[string]string{corev1.ServiceAccountNameKey: account}},
				Type:       corev1.SecretTypeServiceAccountToken,
			}, metav1.CreateOptions{})
		case 7:
			err = core.Secrets(namespace).Delete(ctx, secret, metav1.DeleteOptions{})
		case 8:
			var a *corev1.ServiceAccount
			if a, err = core.ServiceAccounts(namespace).Get(ctx, account, metav1.GetOptions{}); err == nil {
				a.Secrets = append(a.Secrets, corev1.ObjectReference{Name: secret})
				_, err = core.ServiceAccounts(namespace).Update(ctx, a, metav1.UpdateOptions{})
			}
		case 9:
			if s.random.IntN(2) == 0 {
				err = core.ServiceAccounts(namespace).Delete(ctx, "default", metav1.DeleteOptions{})
			} else {
				err = core.ConfigMaps(namespace).Delete(ctx, "kube-root-ca.crt", metav1.DeleteOptions{})
			}
		}
		if err == nil {
			s.done.Add(1)
		}
	}
}

// managedWorld knows what is in order.
type managedWorld struct {
	client        *kubernetes.Clientset
	ca            string
	authenticator *tokens.Authenticator
	tokens        int // that were good the last time
}

// disorder returns what is not in order: E1 to E4.
func (w *managedWorld) disorder(ctx context.Context) []string {
	core := w.client.CoreV1()
	namespaces, err := core.Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return []string{err.Error()}
	}
	accountList, err := core.ServiceAccounts("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return []string{err.Error()}
	}
	secretList, err := core.Secrets("").List(ctx, metav1.ListOptions{FieldSelector: "type=" + string(corev1.SecretTypeServiceAccountToken)})
	if err != nil {
		return []string{err.Error()}
	}
	accounts, secrets := map[string]types.UID{}, map[string]bool{}
	for _, a := range accountList.Items {
		accounts[a.Namespace+"/"+a.Name] = a.UID
	}
	for _, s := range secretList.Items {
		secrets[s.Namespace+"/"+s.Name] = true
	}
	var wrong []string
	complain := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	for _, ns := range namespaces.Items {
		if accounts[ns.Name+"/default"] == "" {
			complain("namespace %s has no default account", ns.Name)
		}
		m, err := core.ConfigMaps(ns.Name).Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
		if err != nil || m.Data["ca.crt"] != w.ca {
			complain("namespace %s has no CA bundle: %v", ns.Name, err)
		}
	}
	for _, a := range accountList.Items {
		for _, r := range a.Secrets {
			if !secrets[a.Namespace+"/"+r.Name] {
				complain("account %s/%s lists the missing Secret %s", a.Namespace, a.Name, r.Name)
			}
		}
	}
	w.tokens = 0
	for _, s := range secretList.Items {
		name, uid := s.Annotations[corev1.ServiceAccountNameKey], s.Annotations[corev1.ServiceAccountUIDKey]
		account := s.Namespace + "/" + name
		switch {
		case accounts[account] == "" || uid != "" && types.UID(uid) != accounts[account]:
			complain("Secret %s/%s belongs to no account", s.Namespace, s.Name)
		case string(s.Data["ca.crt"]) != w.ca || string(s.Data["namespace"]) != s.Namespace || uid == "":
			complain("Secret %s/%s is not filled", s.Namespace, s.Name)
		default:
			id, err := w.authenticator.Authenticate(ctx, string(s.Data["token"]))
			if err != nil || id.Namespace+"/"+id.Name != account || id.UID != accounts[account] {
				complain("the token of Secret %s/%s is no good: %v", s.Namespace, s.Name, err)
			}
			w.tokens++
		}
	}
	return wrong
}

// A tokenHistory watches for tokens that are overwritten (S3).
type tokenHistory struct {
	mu    sync.Mutex
	seen  map[types.UID]string
	wrong []string
}

func watchTokens(t *testing.T, client *kubernetes.Clientset) *tokenHistory {
	t.Helper()
	h := &tokenHistory{seen: map[types.UID]string{}}
	factory := informers.NewSharedInformerFactory(client, 0)
	look := func(object any) {
		secret, ok := object.(*corev1.Secret)
		if !ok || len(secret.Data["token"]) == 0 {
			return
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		token := string(secret.Data["token"])
		if before, ok := h.seen[secret.UID]; ok && before != token {
			h.wrong = append(h.wrong, fmt.Sprintf("the token of Secret %s/%s was overwritten", secret.Namespace, secret.Name))
		}
		h.seen[secret.UID] = token
	}
	if _, err := factory.Core().V1().Secrets().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: look, UpdateFunc: func(_, object any) { look(object) },
	}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	factory.StartWithContext(ctx)
	t.Cleanup(func() {
		cancel()
		factory.Shutdown()
	})
	return h
}

func (h *tokenHistory) complaints() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.wrong
}

// A roughProxy passes requests on to the API server, as one user. While it is
// rough, it fails some before and some after they were done, and cuts watches.
type roughProxy struct {
	url   string
	rough atomic.Bool

	requests, failures, writes atomic.Int64

	mu      sync.Mutex
	random  *rand.Rand
	watches map[*http.Request]proxiedWatch
	wrong   []string
}

type proxiedWatch struct {
	since  time.Time
	cancel context.CancelFunc
}

func newRoughProxy(t *testing.T, config *rest.Config, seed uint64) *roughProxy {
	t.Helper()
	p := &roughProxy{random: rand.New(rand.NewPCG(seed, 1)), watches: map[*http.Request]proxiedWatch{}}
	target := must(url.Parse(config.Host))
	forward := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     must(rest.TransportFor(config)),
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0), // what is cut is meant to be
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			w.WriteHeader(http.StatusBadGateway)
		},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.serve(w, r, forward) }))
	t.Cleanup(func() {
		p.cutWatches()
		server.CloseClientConnections()
		server.Close()
	})
	p.url = server.URL
	return p
}

func (p *roughProxy) serve(w http.ResponseWriter, r *http.Request, forward http.Handler) {
	p.requests.Add(1)
	if r.URL.Query().Get("watch") != "" {
		p.serveWatch(w, r, forward)
		return
	}
	if r.Method != http.MethodGet {
		if !strings.Contains(r.URL.Path, "/leases") && !strings.Contains(r.URL.Path, "/events") {
			p.writes.Add(1)
		}
		p.judge(r)
	}
	status, done := p.fate(r.Method)
	if status == 0 {
		forward.ServeHTTP(w, r)
		return
	}
	p.failures.Add(1)
	if done { // the answer is lost
		forward.ServeHTTP(httptest.NewRecorder(), r)
	}
	reasons := map[int]metav1.StatusReason{
		http.StatusConflict: metav1.StatusReasonConflict, http.StatusTooManyRequests: metav1.StatusReasonTooManyRequests,
		http.StatusInternalServerError: metav1.StatusReasonInternalError,
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure, Code: int32(status), Reason: reasons[status], Message: "the proxy is rough",
	})
}

// fate returns the status that a request fails with, or 0, and whether it is done
// all the same.
func (p *roughProxy) fate(method string) (status int, done bool) {
	if !p.rough.Load() {
		return 0, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch n := p.random.IntN(100); {
	case n < 5:
		return http.StatusInternalServerError, false
	case n < 10:
		return http.StatusTooManyRequests, false
	case n < 15 && method != http.MethodGet:
		return http.StatusConflict, false
	case n < 20 && method != http.MethodGet:
		return http.StatusInternalServerError, true
	}
	return 0, false
}

// judge looks at what a write asks for (S1).
func (p *roughProxy) judge(r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if r.Method != http.MethodDelete {
		return
	}
	decoded, _, err := scheme.Codecs.UniversalDeserializer().Decode(body, nil, nil)
	opts, ok := decoded.(*metav1.DeleteOptions)
	if !ok || opts.Preconditions == nil || opts.Preconditions.UID == nil {
		p.mu.Lock()
		p.wrong = append(p.wrong, fmt.Sprintf("DELETE %s without a UID: %v", r.URL.Path, err))
		p.mu.Unlock()
	}
}

// serveWatch passes a watch on, and cuts it after a while.
func (p *roughProxy) serveWatch(w http.ResponseWriter, r *http.Request, forward http.Handler) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if p.rough.Load() {
		p.mu.Lock()
		life := time.Duration(p.random.IntN(3000)) * time.Millisecond
		p.mu.Unlock()
		ctx, cancel = context.WithTimeout(ctx, life)
		defer cancel()
	}
	r = r.WithContext(ctx)
	p.mu.Lock()
	p.watches[r] = proxiedWatch{time.Now(), cancel}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.watches, r)
		p.mu.Unlock()
		if v := recover(); v != nil && v != http.ErrAbortHandler {
			panic(v)
		}
	}()
	forward.ServeHTTP(w, r)
}

func (p *roughProxy) cutWatches() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.watches {
		w.cancel()
	}
}

// logWatches logs which watches are open before a replica ends, and for how long they
// have been.
func (p *roughProxy) logWatches(t *testing.T, before string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for r, w := range p.watches {
		t.Logf("before the end of %s a watch is open for %v: %s", before, time.Since(w.since).Round(time.Second), r.URL)
	}
}

func (p *roughProxy) complaints() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wrong
}
