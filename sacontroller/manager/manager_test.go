package manager_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientset "k8s.io/client-go/kubernetes"
	clienttesting "k8s.io/client-go/testing"

	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/manager"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
)

// SAC-1, SAC-2, CTL-5, CTL-6: from a namespace to a token and back, by events
// alone.
func TestStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(active("kube-system"))
		p := newProgram(t, s)
		p.start(t)
		if _, err := s.CreateNamespace(t.Context(), active("ns")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		account, err := s.GetServiceAccount(t.Context(), "ns", "default")
		if err != nil {
			t.Fatal(err)
		}
		s.ClearActions()
		s.createToken(t, "ns", "t", "default")
		synctest.Wait()
		if got, want := s.token(t, "ns", "t"), "token(ns/"+string(account.UID)+"/t)"; got != want {
			t.Errorf("the Secret holds %q, want %q", got, want)
		}
		if writes := s.Writes(); len(writes) != 2 {
			t.Errorf("writes are %v, want the create and one update", writes)
		}
		if err := s.DeleteServiceAccount(t.Context(), "ns", "default", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, err := s.GetSecret(t.Context(), "ns", "t"); !apierrors.IsNotFound(err) {
			t.Errorf("the Secret of the deleted account is still there: %v", err)
		}
		if again, err := s.GetServiceAccount(t.Context(), "ns", "default"); err != nil || again.UID == account.UID {
			t.Errorf("the account was not created again: %v", err) // SAC-15
		}
		if err := p.stop(); err != nil {
			t.Error(err)
		}
		if got := p.metric(t, "serviceaccount_tokens_issued_total", "success"); got != 1 {
			t.Errorf("%v tokens were counted, want 1", got)
		}
		for _, name := range []string{"serviceaccount_queue_adds_total", "serviceaccount_queue_wait_seconds", "serviceaccount_reconcile_duration_seconds"} {
			if got := p.metric(t, name, "serviceaccount-token-controller"); got == 0 {
				t.Errorf("%s counted nothing", name)
			}
		}
		if got := p.metric(t, "serviceaccount_queue_depth"); got != 0 {
			t.Errorf("the queues hold %v keys, want none", got)
		}
	})
}

// Of Secrets only token Secrets are asked for, of ConfigMaps one name, and each
// resource is watched once.
func TestWatchesOnlyWhatIsNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(active("ns"))
		p := newProgram(t, s)
		publisher, err := rootca.NewConfigMaps(rootca.ConfigMapsConfig{Reader: p.Reader(), Client: s, RootCA: []byte("CA Data")})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Add(publisher, manager.Options{}); err != nil {
			t.Fatal(err)
		}
		p.start(t)
		watches := map[string]int{}
		for _, action := range s.client.Actions() {
			if a, ok := action.(clienttesting.WatchActionImpl); ok {
				watches[a.Resource.Resource+" "+a.ListOptions.FieldSelector]++
			}
			if a, ok := action.(clienttesting.ListActionImpl); ok && a.Resource.Resource == "secrets" && a.ListOptions.FieldSelector != "type=kubernetes.io/service-account-token" {
				t.Errorf("listed Secrets with the selector %q", a.ListOptions.FieldSelector)
			}
		}
		want := []string{"namespaces ", "serviceaccounts ", "secrets type=kubernetes.io/service-account-token", "configmaps metadata.name=kube-root-ca.crt"}
		for _, w := range want {
			if watches[w] != 1 {
				t.Errorf("%d watches of %q, want 1", watches[w], w)
			}
		}
		if len(watches) != len(want) {
			t.Errorf("watches are %v, want %q", watches, want)
		}
		m, err := s.GetConfigMap(t.Context(), "ns", "kube-root-ca.crt")
		if err != nil || m.Data["ca.crt"] != "CA Data" {
			t.Errorf("the published bundle is %v, %v", m, err) // RCA-4
		}
		if err := p.stop(); err != nil {
			t.Error(err)
		}
	})
}

// C01, CTL-7: the deletion of a referenced Secret happens while the watch is
// broken, and its changes are forgotten: the next list shows that it is missing.
func TestMissedDeletion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(active("ns"))
		p := newProgram(t, s)
		p.start(t)
		s.createToken(t, "ns", "t", "default")
		synctest.Wait()
		account, err := s.GetServiceAccount(t.Context(), "ns", "default")
		if err != nil {
			t.Fatal(err)
		}
		account.Secrets = []corev1.ObjectReference{{Name: "t"}, {Name: "other"}}
		if _, err := s.UpdateServiceAccount(t.Context(), account); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		s.Inject(fault.On("watch", "secrets", apierrors.NewServiceUnavailable("down")))
		s.DropWatches()
		if err := s.DeleteSecret(t.Context(), "ns", "t", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		s.Compact()
		s.ClearFaults()
		time.Sleep(5 * time.Minute)
		account, err = s.GetServiceAccount(t.Context(), "ns", "default")
		if err != nil {
			t.Fatal(err)
		}
		if len(account.Secrets) != 1 || account.Secrets[0].Name != "other" {
			t.Errorf("the account lists %v, want only the other Secret", account.Secrets)
		}
		if got := p.metric(t, "serviceaccount_watch_failures_total", "token-secrets"); got == 0 {
			t.Error("no failed watch was counted")
		}
		if err := p.stop(); err != nil {
			t.Error(err)
		}
	})
}

// C09: as long as one cache is empty nothing is written, and the program isn't
// ready.
func TestNothingBeforeCachesAreFilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(active("ns"))
		s.Inject(fault.On("list", "serviceaccounts", apierrors.NewServiceUnavailable("down")))
		p := newProgram(t, s)
		p.start(t)
		time.Sleep(time.Hour)
		if writes := s.Writes(); len(writes) > 0 {
			t.Errorf("wrote %v", writes)
		}
		if p.Ready() == nil {
			t.Error("Ready() = nil, want an error")
		}
		if err := p.Healthy(); err != nil {
			t.Error(err)
		}
		s.ClearFaults()
		time.Sleep(time.Minute)
		if err := p.Ready(); err != nil {
			t.Error(err)
		}
		if _, err := s.GetServiceAccount(t.Context(), "ns", "default"); err != nil {
			t.Error(err)
		}
		if err := p.stop(); err != nil {
			t.Error(err)
		}
		if p.Ready() == nil || p.Healthy() == nil {
			t.Error("a stopped Manager is ready or healthy")
		}
	})
}

// C02, C07, CTL-51: a signer that is down for long is asked again, ever more
// rarely; the Secret says why it is empty; once the signer is back it is filled.
func TestSignerDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(active("ns"))
		p := newProgram(t, s)
		p.issuer.fail(errKMS)
		p.start(t)
		s.createToken(t, "ns", "t", "default")
		time.Sleep(24 * time.Hour)
		attempts := p.metric(t, "serviceaccount_tokens_issued_total", "error")
		// 5 ms·2^n reaches 1000 s after 18 attempts, 24 hours have 86 of those.
		if attempts < 90 || attempts > 110 {
			t.Errorf("%v attempts in a day, want about a hundred", attempts)
		}
		events := s.events(t)
		if len(events) == 0 {
			t.Fatal("no Event was recorded")
		}
		e := events[0]
		if e.Reason != manager.ReasonNotFilled || e.Type != corev1.EventTypeWarning || e.InvolvedObject.Name != "t" || !strings.Contains(e.Message, errKMS.Error()) {
			t.Errorf("the Event is %+v", e)
		}
		if len(events) > 8 {
			t.Errorf("%d Events were recorded, want a few", len(events))
		}
		p.issuer.fail(nil)
		time.Sleep(20 * time.Minute)
		if s.token(t, "ns", "t") == "" {
			t.Error("the Secret was not filled")
		}
		if err := p.stop(); err != nil {
			t.Error(err)
		}
		if strings.Contains(p.log.String(), "token(ns/") {
			t.Error("the log holds a token") // L01
		}
	})
}

// C17: a day of nothing costs no write, and a change of the CA reaches every
// Secret.
func TestIdleAndResync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(active("ns"))
		p := newProgram(t, s)
		p.start(t)
		for _, name := range []string{"a", "b", "c"} {
			s.createToken(t, "ns", name, "default")
		}
		synctest.Wait()
		s.ClearActions()
		time.Sleep(24 * time.Hour)
		s.DropWatches()
		time.Sleep(24 * time.Hour)
		if writes := s.Writes(); len(writes) > 0 {
			t.Errorf("wrote %v", writes)
		}
		if err := p.tokens.SetRootCA(newCA(t)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if writes := s.Writes(); len(writes) != 3 {
			t.Errorf("writes are %v, want 3 updates", writes)
		}
		if err := p.stop(); err != nil {
			t.Error(err)
		}
	})
}

// A poisoned controller panics for some keys, everywhere.
type poisoned struct {
	sacontroller.Controller
	name string
}

func (c poisoned) Due(e sacontroller.Change) []sacontroller.Key {
	if secret, ok := e.Object.(*corev1.Secret); ok && secret.Name == "bad-event" {
		panic("bad event")
	}
	return c.Controller.Due(e)
}

func (c poisoned) Reconcile(ctx context.Context, key sacontroller.Key) (sacontroller.Result, error) {
	if key.Name == "bad-key" {
		panic(errors.New("s3cret"))
	}
	return c.Controller.Reconcile(ctx, key)
}

func (c poisoned) Name() string { return c.name }

// C20: a panic costs the key that caused it and no other, and is counted.
func TestPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(active("ns"))
		p := newProgram(t, s)
		p.issuer.fail(errKMS) // so that only the poisoned one fills
		other, err := sacontroller.NewTokens(sacontroller.TokensConfig{Reader: p.Reader(), Client: s, Issuer: &stubIssuer{}})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Add(poisoned{other, "poisoned"}, manager.Options{}); err == nil {
			t.Error("Add() accepted a controller without knowing what it watches")
		}
		if err := p.Add(poisoned{other, "poisoned"}, manager.Options{Watch: []manager.Resource{manager.ServiceAccounts, manager.TokenSecrets}}); err != nil {
			t.Fatal(err)
		}
		p.start(t)
		s.createToken(t, "ns", "bad-event", "default")
		s.createToken(t, "ns", "bad-key", "default")
		s.createToken(t, "ns", "good", "default")
		time.Sleep(time.Minute)
		for name, filled := range map[string]bool{"bad-event": false, "bad-key": false, "good": true} {
			if got := s.token(t, "ns", name) != ""; got != filled {
				t.Errorf("Secret %s is filled: %v, want %v", name, got, filled)
			}
		}
		if got := p.metric(t, "serviceaccount_reconcile_total", "poisoned", "panic"); got < 3 {
			t.Errorf("%v panics were counted, want several", got)
		}
		if err := p.stop(); err != nil {
			t.Error(err)
		}
		if log := p.log.String(); strings.Contains(log, "s3cret") || !strings.Contains(log, "stack=") {
			t.Errorf("the log of a panic should have its stack and not its value:\n%s", log)
		}
	})
}

// A slow controller works on its one key until it is told to go on.
type slow struct {
	sacontroller.Controller
	entered chan struct{}
	leave   chan struct{}
	deaf    bool // to its context
	ended   error
}

func (c *slow) Reconcile(ctx context.Context, _ sacontroller.Key) (sacontroller.Result, error) {
	c.entered <- struct{}{}
	select {
	case <-c.leave:
	case <-ctx.Done():
		if c.deaf {
			<-c.leave
		}
	}
	c.ended = ctx.Err()
	return sacontroller.Result{}, nil
}

func newSlow(t *testing.T, s *server, election *manager.LeaderElection) (*program, *slow) {
	t.Helper()
	m, err := manager.New(manager.Config{Client: s.client, LeaderElection: election})
	if err != nil {
		t.Fatal(err)
	}
	accounts, err := sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: m.Reader(), Client: s})
	if err != nil {
		t.Fatal(err)
	}
	c := &slow{Controller: accounts, entered: make(chan struct{}, 10), leave: make(chan struct{})}
	if err := m.Add(c, manager.Options{Watch: []manager.Resource{manager.Namespaces}}); err != nil {
		t.Fatal(err)
	}
	return &program{Manager: m, done: make(chan error, 1)}, c
}

// C21: a write on its way is finished, and the rest of the queue isn't begun.
func TestShutdownFinishesWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(active("a"), active("b"), active("c"))
		p, c := newSlow(t, s, nil)
		p.start(t)
		<-c.entered
		p.cancel()
		time.Sleep(time.Second)
		select {
		case err := <-p.done:
			t.Fatalf("Run() = %v before the work was finished", err)
		default:
		}
		close(c.leave)
		if err := <-p.done; err != nil {
			t.Error(err)
		}
		if c.ended != nil {
			t.Errorf("the request was cancelled: %v", c.ended)
		}
		if len(c.entered) > 0 {
			t.Error("another key was begun")
		}
	})
}

// C21: work that doesn't finish is cancelled, and a controller that ignores that
// is named.
func TestShutdownIsBounded(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(active("a"))
			p, c := newSlow(t, s, nil)
			c.deaf = deaf
			p.start(t)
			<-c.entered
			start := time.Now()
			err := p.stop()
			if took := time.Since(start); took < 20*time.Second || took > 25*time.Second {
				t.Errorf("the shutdown took %v, want 20 to 25 seconds", took)
			}
			if got := err != nil && strings.Contains(err.Error(), `"serviceaccount-controller"`); got != deaf {
				t.Errorf("Run() = %v with a deaf controller: %v", err, deaf)
			}
			close(c.leave)
			synctest.Wait()
			if !errors.Is(c.ended, context.Canceled) {
				t.Errorf("the request's context ended with %v, want cancelled", c.ended)
			}
		})
	}
}

// New reports all mistakes at once.
func TestConfigErrors(t *testing.T) {
	_, err := manager.New(manager.Config{
		Client: (*clientset.Clientset)(nil), ShutdownTimeout: -1,
		LeaderElection: &manager.LeaderElection{Name: "l", RetryPeriod: -time.Second},
	})
	want := `manager: Config.Client is required, want a kubernetes.Interface
manager: Config.ShutdownTimeout is -1ns, want 0 for the default or a positive value
manager: Config.LeaderElection.Namespace is required, want a name
manager: Config.LeaderElection.Identity is required, want a name
manager: Config.LeaderElection.RetryPeriod is -1s, want 0 for the default or a positive value`
	if err == nil || err.Error() != want {
		t.Errorf("New() =\n%v\nwant\n%s", err, want)
	}
	if e, ok := errors.AsType[*manager.ConfigError](err); !ok || e.Config != "manager.Config" || e.Field != "Client" {
		t.Errorf("New() = %#v, want a ConfigError", e)
	}
	_, err = manager.New(manager.Config{Client: newServer().client, LeaderElection: &manager.LeaderElection{
		Namespace: "kube-system", Name: "l", Identity: "a", LeaseDuration: 9500 * time.Millisecond, RetryPeriod: 9 * time.Second,
	}})
	want = `manager: Config.LeaderElection.LeaseDuration is 9.5s, want whole seconds
manager: Config.LeaderElection.RenewDeadline is 10s, want less than the LeaseDuration of 9.5s
manager: Config.LeaderElection.RenewDeadline is 10s, want more than 1.2 times the RetryPeriod of 9s`
	if err == nil || err.Error() != want {
		t.Errorf("New() =\n%v\nwant\n%s", err, want)
	}
}

func TestRunRefuses(t *testing.T) {
	s := newServer()
	m, err := manager.New(manager.Config{Client: s.client})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Run(t.Context()); err == nil {
		t.Error("Run() without controllers = nil, want an error")
	}
	for _, c := range []sacontroller.Controller{nil, (*sacontroller.Tokens)(nil)} {
		if err := m.Add(c, manager.Options{}); err == nil {
			t.Error("Add(nil) = nil, want an error")
		}
	}
	c, err := sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: m.Reader(), Client: s})
	if err != nil {
		t.Fatal(err)
	}
	want := `manager: Options.Workers is -1, want 0 for the default or a positive value
manager: Options.Watch[1] is "moons", want a Resource of this package`
	if err := m.Add(c, manager.Options{Workers: -1, Watch: []manager.Resource{manager.Pods, "moons"}}); err == nil || err.Error() != want {
		t.Errorf("Add() =\n%v\nwant\n%s", err, want)
	}
	if err := m.Add(poisoned{}, manager.Options{}); err == nil || !strings.Contains(err.Error(), "Options.Watch is empty") {
		t.Errorf("Add() of a foreign controller = %v, want an error about Watch", err)
	}
	if err := m.Add(c, manager.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := m.Add(c, manager.Options{}); err == nil {
		t.Error("Add() of the same controller = nil, want an error")
	}
	if _, err := m.Reader().GetSecret(t.Context(), "ns", "s"); err == nil || apierrors.IsNotFound(err) {
		t.Errorf("GetSecret() = %v, want an error: nobody watches Secrets", err)
	}
}
