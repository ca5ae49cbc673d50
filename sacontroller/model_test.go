package sacontroller_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/internal/satest"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
)

// TestModel runs random users, faults, stale caches, crashes and one or two
// replicas of ServiceAccounts, Tokens and rootca.ConfigMaps against each other. It
// checks S1..S6, S8..S11 of SECURITY.md at every write, and E1..E6 once the faults
// have ended and the caches have caught up: CTL-4..92, SAC-2..13, RCA-3..11.
//
// The short form runs 100 seeds. SACONTROLLER_SEEDS=10000, the long form, runs that
// many, and SACONTROLLER_SEED=17 only that one. A seed that fails prints the
// shortest sequence of steps found that still fails.
func TestModel(t *testing.T) {
	if s := os.Getenv("SACONTROLLER_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		checkSeed(t, seed)
		return
	}
	seeds := uint64(100)
	if s := os.Getenv("SACONTROLLER_SEEDS"); s != "" {
		var err error
		if seeds, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	for seed := range seeds {
		checkSeed(t, seed)
		if t.Failed() {
			return
		}
	}
}

func checkSeed(t *testing.T, seed uint64) {
	steps := randomSteps(seed)
	failure := runModel(seed, steps, nil)
	if failure == "" {
		return
	}
	for n := len(steps) / 2; n > 0; { // leave out n steps at a time
		shorter := false
		for i := 0; i+n <= len(steps); {
			fewer := slices.Concat(steps[:i], steps[i+n:])
			if f := runModel(seed, fewer, nil); f != "" {
				steps, failure, shorter = fewer, f, true
			} else {
				i += n
			}
		}
		if !shorter {
			n /= 2
		}
	}
	var trace strings.Builder
	failure = runModel(seed, steps, &trace)
	t.Errorf("seed %d: %s\nThe %d steps that lead to it:\n%s", seed, failure, len(steps), trace.String())
}

// A step is one thing that happens. What it is depends only on its numbers, so
// that steps before it can be left out.
type step struct{ what, a, b, c, d int }

// The kinds of steps, and how often they are drawn.
const (
	userCreateNamespace = iota
	userDeleteNamespace
	finalizeNamespace
	userCreateAccount
	userDeleteAccount
	userEditAccount
	userCreateSecret
	userDeleteSecret
	userEditSecret
	userEditConfigMap
	seeChanges
	listAgain
	reconcileOne
	armFault
	armUser
	signerFails
	crash
)

var weights = map[int]int{
	userCreateNamespace: 3, userDeleteNamespace: 1, finalizeNamespace: 2,
	userCreateAccount: 6, userDeleteAccount: 4, userEditAccount: 5,
	userCreateSecret: 8, userDeleteSecret: 5, userEditSecret: 6, userEditConfigMap: 2,
	seeChanges: 40, listAgain: 2, reconcileOne: 60, armFault: 12, armUser: 5, signerFails: 2, crash: 1,
}

func randomSteps(seed uint64) []step {
	r := rand.New(rand.NewPCG(seed, 1))
	var bag []int
	for what := userCreateNamespace; what <= crash; what++ {
		bag = append(bag, slices.Repeat([]int{what}, weights[what])...)
	}
	steps := make([]step, 60+r.IntN(200))
	for i := range steps {
		steps[i] = step{bag[r.IntN(len(bag))], r.IntN(1 << 20), r.IntN(1 << 20), r.IntN(1 << 20), r.IntN(1 << 20)}
	}
	return steps
}

// model is the world: one API, some users, and the replicas.
type model struct {
	cluster  *fake.Cluster
	truth    *fake.Reader
	issuer   *stubIssuer
	auto     bool
	replicas []*replica
	trace    *strings.Builder
	failure  string

	calls      int          // of all replicas
	faults     map[int]int  // by the number of the call
	users      map[int]step // what a user does just before that call
	interfered bool         // in the current attempt
	lossy      bool         // some replica listed again
	generated  map[types.UID]bool
	tampered   map[types.UID]bool // Secrets and accounts that a user edited
	abandoned  map[types.UID]bool // generated, and unlisted when the replica was killed
}

// A replica is one process: its caches, its queue and its controllers.
type replica struct {
	name        string
	view        *view
	client      *judgingClient
	controllers []sacontroller.Controller
	queue       []work
}

type work struct {
	controller int
	key        sacontroller.Key
}

// runModel returns what went wrong, or "".
func runModel(seed uint64, steps []step, trace *strings.Builder) string {
	w := &model{
		cluster: seeded(seed+1, satest.Active("n0")), issuer: &stubIssuer{}, auto: seed%2 == 0, trace: trace,
		faults: map[int]int{}, users: map[int]step{}, generated: map[types.UID]bool{}, tampered: map[types.UID]bool{}, abandoned: map[types.UID]bool{},
	}
	w.truth = w.cluster.Reader()
	w.cluster.Inject(fault.Func("the model's faults", func(op fault.Op) error {
		if !strings.HasPrefix(op.Actor, "replica") {
			return nil
		}
		return w.faultOf(op.Verb, w.calls)
	}))
	for i := range 1 + int(seed/2%2) {
		w.replicas = append(w.replicas, w.start(fmt.Sprint("replica", i)))
	}
	for _, s := range steps {
		w.do(s)
		if w.failure != "" {
			return w.failure
		}
	}
	w.recover()
	w.drain()
	if w.failure == "" {
		w.checkEnd()
	}
	return w.failure
}

func (w *model) log(format string, args ...any) {
	if w.trace != nil {
		fmt.Fprintf(w.trace, format+"\n", args...)
	}
}

// start returns a replica whose caches hold everything that exists.
func (w *model) start(name string) *replica {
	r := &replica{name: name, view: newView(w.cluster)}
	r.client = &judgingClient{Cluster: w.cluster, w: w, r: r, read: map[types.UID]bool{}}
	now := func() time.Time { return fake.Epoch }
	accounts, err := sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: r.view, Client: r.client})
	if err != nil {
		panic(err)
	}
	tokens, err := sacontroller.NewTokens(sacontroller.TokensConfig{
		Reader: r.view, Client: r.client, Issuer: w.issuer, RootCA: []byte("CA Data"), AutoGenerate: w.auto, Now: now,
	})
	if err != nil {
		panic(err)
	}
	publisher, err := rootca.NewConfigMaps(rootca.ConfigMapsConfig{Reader: r.view, Client: r.client, RootCA: []byte("CA Data"), Now: now})
	if err != nil {
		panic(err)
	}
	r.controllers = []sacontroller.Controller{accounts, tokens, publisher}
	for kind := range r.view.kinds {
		r.hear(r.view.list(kind))
	}
	return r
}

func (r *replica) hear(events []sacontroller.Change) {
	for _, e := range events {
		for i, c := range r.controllers {
			for _, key := range c.Due(e) {
				if item := (work{i, key}); !slices.Contains(r.queue, item) {
					r.queue = append(r.queue, item)
				}
			}
		}
	}
}

// do does one step, unless it makes no sense by now.
func (w *model) do(s step) {
	r := w.replicas[s.a%len(w.replicas)]
	switch s.what {
	case seeChanges:
		n := s.c%4 - 1
		r.hear(r.view.follow(s.b%4, n))
		w.log("%s sees %d changes of %s", r.name, n, viewResources[s.b%4])
	case listAgain:
		w.lossy = true
		r.hear(r.view.list(s.b % 4))
		w.log("%s lists the %s again", r.name, viewResources[s.b%4])
	case reconcileOne:
		if len(r.queue) > 0 {
			w.attempt(r, s.b%len(r.queue))
		}
	case armFault:
		w.faults[w.calls+1+s.b%6] = s.c
	case armUser:
		w.users[w.calls+1+s.b%6] = step{s.c % seeChanges, s.d, s.d / 7, s.d / 49, s.d / 343}
	case signerFails:
		w.issuer.failures = s.b % 4
		w.log("the next %d signatures fail", s.b%4)
	case crash:
		w.log("%s is killed and starts again", r.name)
		w.abandon()
		*r = *w.start(r.name)
		r.client.r = r
	default:
		w.user(s)
	}
}

// attempt reconciles one key, and reports whether it only waits for time to pass.
func (w *model) attempt(r *replica, i int) (waits bool) {
	item := r.queue[i]
	r.queue = slices.Delete(r.queue, i, i+1)
	clear(r.client.read)
	w.interfered = false
	before := len(w.cluster.Actions())
	c := r.controllers[item.controller]
	result, err := c.Reconcile(fake.WithActor(context.Background(), r.name), item.key)
	if w.trace != nil {
		w.log("%s: %s, %s: error %v", r.name, c.Name(), item.key, err)
		for _, a := range w.cluster.Actions()[before:] {
			w.log("\t%s: %s", a.Actor, a)
		}
	}
	if err != nil || result.RequeueAfter > 0 {
		r.queue = append(r.queue, item)
	}
	if err != nil && strings.Contains(err.Error(), "token(") {
		w.fail("S10: an error shows a token: %v", err)
	}
	if d := r.view.changed(); d != "" {
		w.fail("%s", d)
	}
	return err == nil && result.RequeueAfter > 0
}

// beforeCall runs before each call of a replica.
func (w *model) beforeCall() {
	w.calls++
	if s, ok := w.users[w.calls]; ok {
		delete(w.users, w.calls)
		w.interfered = true
		w.user(s)
	}
}

// faultOf returns the fault of a call. The API never lies: it says Conflict only to
// an update, of which there is no telling.
func (w *model) faultOf(verb string, call int) error {
	kind, ok := w.faults[call]
	if !ok {
		return nil
	}
	delete(w.faults, call)
	faults := []error{satest.ErrBusy, fault.After(satest.ErrBusy), fault.Timeout, fault.AnswerLost}
	if verb == "update" {
		faults = append(faults, fault.Conflict, fault.After(fault.Conflict))
	}
	return faults[kind%len(faults)]
}

// user does what a user could do. Errors are the user's problem.
func (w *model) user(s step) {
	ctx := fake.WithActor(context.Background(), "user")
	namespace := []string{"n0", "n0", "n1"}[s.a%3]
	account := []string{"default", "a", "b"}[s.b%3]
	secret := []string{"s0", "s1", "default-token-bbbbb", "a-token-ccccc"}[s.c%4]
	var err error
	switch s.what {
	case userCreateNamespace:
		w.log("user creates Namespace %s", namespace)
		_, err = w.cluster.CreateNamespace(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	case userDeleteNamespace:
		w.log("user deletes Namespace %s", namespace)
		err = w.cluster.DeleteNamespace(ctx, namespace, metav1.DeleteOptions{})
	case finalizeNamespace:
		w.log("Namespace %s is finalized", namespace)
		err = w.cluster.FinalizeNamespace(ctx, namespace)
	case userCreateAccount:
		w.log("user creates account %s/%s", namespace, account)
		_, err = w.cluster.CreateServiceAccount(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: account, Namespace: namespace}})
	case userDeleteAccount:
		w.log("user deletes account %s/%s", namespace, account)
		err = w.cluster.DeleteServiceAccount(ctx, namespace, account, metav1.DeleteOptions{})
	case userEditAccount:
		err = w.editAccount(ctx, namespace, account, secret, s.d)
	case userCreateSecret:
		err = w.createSecret(ctx, namespace, account, secret, s.d)
	case userDeleteSecret:
		w.log("user deletes Secret %s", namespace+"/"+w.pick(namespace, secret, s.d))
		err = w.cluster.DeleteSecret(ctx, namespace, w.pick(namespace, secret, s.d), metav1.DeleteOptions{})
	case userEditSecret:
		err = w.editSecret(ctx, namespace, account, w.pick(namespace, secret, s.d/8), s.d)
	case userEditConfigMap:
		w.log("user spoils the CA of %s", namespace)
		if s.d%2 == 0 {
			err = w.cluster.DeleteConfigMap(ctx, namespace, "kube-root-ca.crt", metav1.DeleteOptions{})
		} else {
			_, err = w.cluster.PatchConfigMap(ctx, namespace, "kube-root-ca.crt", types.MergePatchType, []byte(`{"data":{"ca.crt":"theirs"}}`))
		}
	}
	if err != nil {
		w.log("\twhich fails: %v", err)
	}
}

// pick returns a name that exists, generated ones included, or else name.
func (w *model) pick(namespace, name string, n int) string {
	secrets, _ := w.truth.ListSecrets(context.Background(), namespace)
	if len(secrets) == 0 || n%3 == 0 {
		return name
	}
	return secrets[n%len(secrets)].Name
}

func (w *model) createSecret(ctx context.Context, namespace, account, name string, how int) error {
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Annotations: map[string]string{corev1.ServiceAccountNameKey: account}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}
	what := "without UID"
	switch how % 8 {
	case 0:
		s.Type, what = corev1.SecretTypeOpaque, "opaque"
	case 1:
		s.Annotations[corev1.ServiceAccountUIDKey], what = "wrong", "with a wrong UID"
	case 2, 3:
		if a, err := w.truth.GetServiceAccount(ctx, namespace, account); err == nil {
			s.Annotations[corev1.ServiceAccountUIDKey], what = string(a.UID), "with the UID"
		}
	case 4:
		s.Finalizers, what = []string{"test/stays"}, "with a finalizer"
	}
	w.log("user creates Secret %s/%s for account %s, %s", namespace, name, account, what)
	_, err := w.cluster.CreateSecret(ctx, s)
	return err
}

func (w *model) editSecret(ctx context.Context, namespace, account, name string, how int) error {
	stored, err := w.truth.GetSecret(ctx, namespace, name)
	if err != nil {
		return nil
	}
	s := stored.DeepCopy()
	what := ""
	switch how % 8 {
	case 0:
		s.Annotations, what = map[string]string{corev1.ServiceAccountNameKey: account}, "gives it to account "+account
		w.tampered[s.UID] = true
	case 1:
		delete(s.Data, "token")
		what = "deletes the token of"
	case 2:
		delete(s.Data, "namespace")
		what = "deletes the namespace of"
	case 3, 4:
		if s.Data == nil {
			s.Data = map[string][]byte{}
		}
		s.Data["ca.crt"], what = []byte("theirs"), "changes the CA of"
	case 5:
		s.Labels, what = map[string]string{"n": fmt.Sprint(how)}, "labels"
	case 6:
		s.Finalizers, what = nil, "removes the finalizers of"
	case 7:
		s.Finalizers, what = []string{"test/stays"}, "adds a finalizer to"
	}
	w.log("user %s Secret %s/%s", what, namespace, name)
	_, err = w.cluster.UpdateSecret(ctx, s)
	return err
}

func (w *model) editAccount(ctx context.Context, namespace, account, secret string, how int) error {
	stored, err := w.truth.GetServiceAccount(ctx, namespace, account)
	if err != nil {
		return nil
	}
	a := stored.DeepCopy()
	what := ""
	switch how % 6 {
	case 0, 1:
		a.Labels, what = map[string]string{"n": fmt.Sprint(how)}, "labels"
	case 2:
		a.Secrets, what = append(a.Secrets, corev1.ObjectReference{Name: secret}), "lists "+secret+" in"
		w.tampered[a.UID] = true
	case 3:
		a.Secrets, what = nil, "empties the list of"
		w.tampered[a.UID] = true
	case 4:
		a.Finalizers, what = nil, "removes the finalizers of"
	case 5:
		a.Finalizers, what = []string{"test/stays"}, "adds a finalizer to"
	}
	w.log("user %s account %s/%s", what, namespace, account)
	_, err = w.cluster.UpdateServiceAccount(ctx, a)
	return err
}

// recover ends all faults.
func (w *model) recover() {
	clear(w.faults)
	clear(w.users)
	w.issuer.failures = 0
	w.log("faults end")
	for _, r := range w.replicas {
		for kind := range r.view.kinds {
			r.hear(r.view.follow(kind, -1))
		}
		if w.lossy {
			// What came and went between two lists was never reported. Informers
			// make up for that from time to time.
			r.hear(r.view.resync())
		}
	}
}

// drain lets the replicas see everything and work until nothing is left to do.
func (w *model) drain() {
	ctx := context.Background()
	for attempts := 0; w.failure == ""; {
		for _, r := range w.replicas {
			for kind := range r.view.kinds {
				r.hear(r.view.follow(kind, -1))
			}
		}
		before, busy := w.cluster.Revision(), false
		for _, ns := range []string{"n0", "n1"} {
			if n, err := w.truth.GetNamespace(ctx, ns); err == nil && n.DeletionTimestamp != nil {
				_ = w.cluster.FinalizeNamespace(ctx, ns)
			}
		}
		for _, r := range w.replicas {
			for n := len(r.queue); n > 0; n-- {
				waits := w.attempt(r, 0)
				attempts, busy = attempts+1, busy || !waits
			}
		}
		if !busy && w.cluster.Revision() == before {
			return
		}
		if attempts > 2000 {
			w.fail("E6: no end after %d attempts", attempts)
		}
	}
}

// checkEnd is E1..E5.
func (w *model) checkEnd() {
	ctx := context.Background()
	namespaces, _ := w.truth.ListNamespaces(ctx)
	for _, ns := range namespaces {
		if ns.Status.Phase != corev1.NamespaceActive {
			continue
		}
		if _, err := w.truth.GetServiceAccount(ctx, ns.Name, "default"); err != nil {
			w.fail("E1: Namespace %s has no account default", ns.Name)
		}
		if m, err := w.truth.GetConfigMap(ctx, ns.Name, "kube-root-ca.crt"); err != nil || m.Data["ca.crt"] != "CA Data" {
			w.fail("E1: Namespace %s lacks the CA", ns.Name)
		}
		accounts, _ := w.truth.ListServiceAccounts(ctx, ns.Name)
		for _, a := range accounts {
			w.checkAccount(a)
		}
		secrets, _ := w.truth.ListSecrets(ctx, ns.Name)
		for _, s := range secrets {
			w.checkSecret(s)
		}
	}
	before := w.cluster.Revision()
	for _, r := range w.replicas {
		r.hear(r.view.resync())
	}
	w.drain()
	if after := w.cluster.Revision(); after != before {
		w.fail("E5: a resync led to writes at the end, from revision %s to %s", before, after)
	}
}

func (w *model) checkSecret(s *corev1.Secret) {
	name := s.Annotations[corev1.ServiceAccountNameKey]
	if s.Type != corev1.SecretTypeServiceAccountToken || name == "" || s.DeletionTimestamp != nil {
		return
	}
	a, err := w.truth.GetServiceAccount(context.Background(), s.Namespace, name)
	id := types.UID(s.Annotations[corev1.ServiceAccountUIDKey])
	switch {
	case err != nil || id != "" && id != a.UID:
		w.fail("E3: Secret %s/%s is there, and its account %s with UID %q is not", s.Namespace, s.Name, name, id)
	case a.DeletionTimestamp != nil:
	case string(s.Data["ca.crt"]) != "CA Data" || len(s.Data["namespace"]) == 0 || len(s.Data["token"]) == 0:
		w.fail("E2: Secret %s/%s is incomplete", s.Namespace, s.Name)
	case string(s.Data["token"]) != stubToken("", a, s) && !w.tampered[s.UID]:
		w.fail("E2: Secret %s/%s holds %q, which is no token of it", s.Namespace, s.Name, s.Data["token"])
	}
	if w.abandoned[s.UID] && len(w.replicas) > 1 {
		// See TokensConfig.AutoGenerate: the other replica's cache lacked it, and the
		// account has changed. It goes with its account.
		return
	}
	if w.generated[s.UID] && err == nil && !w.tampered[a.UID] && !w.tampered[s.UID] && a.DeletionTimestamp == nil && !names(a)[s.Name] {
		w.fail("generated Secret %s/%s is not listed in its account: it has leaked", s.Namespace, s.Name)
	}
}

// abandon notes the generated Secrets that no account lists yet.
func (w *model) abandon() {
	for _, ns := range []string{"n0", "n1"} {
		secrets, _ := w.truth.ListSecrets(context.Background(), ns)
		for _, s := range secrets {
			a, err := w.truth.GetServiceAccount(context.Background(), ns, s.Annotations[corev1.ServiceAccountNameKey])
			if w.generated[s.UID] && (err != nil || !names(a)[s.Name]) {
				w.abandoned[s.UID] = true
			}
		}
	}
}

func (w *model) checkAccount(a *corev1.ServiceAccount) {
	if a.DeletionTimestamp != nil {
		return
	}
	held, untouched := 0, 0
	for name := range names(a) {
		s, err := w.truth.GetSecret(context.Background(), a.Namespace, name)
		if err != nil {
			if suffix, ok := strings.CutPrefix(name, a.Name+"-token-"); ok && len(suffix) == 5 {
				w.fail("E4: account %s/%s lists %s, which is gone", a.Namespace, a.Name, name)
			}
			continue
		}
		if id := types.UID(s.Annotations[corev1.ServiceAccountUIDKey]); s.Type == corev1.SecretTypeServiceAccountToken &&
			s.Annotations[corev1.ServiceAccountNameKey] == a.Name && (id == "" || id == a.UID) {
			held++
			if !w.tampered[s.UID] { // a user may have taken it away and given it back
				untouched++
			}
		}
	}
	if w.auto && (held == 0 || untouched > 1 && !w.tampered[a.UID]) {
		w.fail("account %s/%s lists %d tokens, want one", a.Namespace, a.Name, held)
	}
}
