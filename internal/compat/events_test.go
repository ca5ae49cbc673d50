package compat

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/klog/v2"
	upstreamtokens "k8s.io/kubernetes/pkg/serviceaccount"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/internal/compat/generate"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
)

// An eventWorld is a Cluster with the controllers of one side.
type eventWorld struct {
	cluster     *fake.Cluster
	user        context.Context
	signerFails atomic.Int32 // how many of the next signatures fail
	signFailed  atomic.Int32 // how many failed since the last settling
	faults      []*eventFault
	start       int // where the actions since the last settling start
}

// An eventFault fails calls of controllers.
type eventFault struct {
	verb, resource string
	left           int
	err            error
}

func newEventWorld(ctx context.Context) *eventWorld {
	w := &eventWorld{cluster: fake.New(&namespace{ObjectMeta: metav1.ObjectMeta{Name: "team"}}), user: userContext(ctx)}
	w.cluster.Now = time.Now
	w.cluster.Inject(fault.Func("the step's faults", func(op fault.Op) error {
		if op.Actor == userActor || op.Actor == "" || op.Actor == "namespace-controller" {
			return nil
		}
		for _, f := range w.faults {
			if f.left > 0 && f.verb == op.Verb && f.resource == op.Resource {
				f.left--
				return f.err
			}
		}
		return nil
	}))
	return w
}

var errSign = errors.New("the signer is down")

// sign says whether a signature fails now.
func (w *eventWorld) sign() error {
	if w.signerFails.Add(-1) >= 0 {
		w.signFailed.Add(1)
		return errSign
	}
	return nil
}

// A failingGenerator is upstream's generator of tokens with our failures.
type failingGenerator[C any] struct {
	w        *eventWorld
	generate func(ctx context.Context, claims C, private any) (string, error)
}

func (g failingGenerator[C]) GenerateToken(ctx context.Context, claims C, private any) (string, error) {
	if err := g.w.sign(); err != nil {
		return "", err
	}
	return g.generate(ctx, claims, private)
}

func newFailingGenerator[C any](w *eventWorld, generate func(context.Context, C, any) (string, error)) failingGenerator[C] {
	return failingGenerator[C]{w, generate}
}

// failingIssuer is our issuer with the same failures.
type failingIssuer struct {
	w      *eventWorld
	issuer *tokenissuer.Issuer
}

func (i failingIssuer) IssueLegacy(ctx context.Context, account *corev1.ServiceAccount, secret *corev1.Secret) (string, error) {
	if err := i.w.sign(); err != nil {
		return "", err
	}
	return i.issuer.IssueLegacy(ctx, account, secret)
}

// settled is called when the controllers of w are at rest, and gives the actions
// since the last time.
func (w *eventWorld) settled() (actions []fake.Action, signFailed int) {
	w.signerFails.Store(0)
	w.faults = nil
	all := w.cluster.Actions()
	actions, w.start = all[w.start:], len(all)
	return actions, int(w.signFailed.Swap(0))
}

type objectKey struct{ kind, namespace, name string }

// A worldState is what is in a world: the objects, and each as text without what
// differs for no reason.
type worldState struct {
	objects map[objectKey]metav1.Object
	texts   map[objectKey]string
}

var anyUID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89][0-9a-f]{3}-[0-9a-f]{12}`)

func (w *eventWorld) state(t *testing.T) worldState {
	t.Helper()
	ctx := w.user
	s := worldState{objects: map[objectKey]metav1.Object{}, texts: map[objectKey]string{}}
	var uids []string
	for _, n := range must(w.cluster.ListNamespaces(ctx)) {
		s.objects[objectKey{"Namespace", "", n.Name}] = n
	}
	for _, a := range must(w.cluster.ListServiceAccounts(ctx, "")) {
		s.objects[objectKey{"ServiceAccount", a.Namespace, a.Name}] = a
		uids = append(uids, string(a.UID), fmt.Sprintf("UID of %s/%s", a.Namespace, a.Name))
	}
	for _, n := range must(w.cluster.ListSecrets(ctx, "")) {
		s.objects[objectKey{"Secret", n.Namespace, n.Name}] = n
	}
	for _, m := range must(w.cluster.ListConfigMaps(ctx, "")) {
		s.objects[objectKey{"ConfigMap", m.Namespace, m.Name}] = m
	}
	known := strings.NewReplacer(uids...)
	for key, o := range s.objects {
		o := o.(runtime.Object).DeepCopyObject().(metav1.Object)
		if deleted := o.GetDeletionTimestamp(); deleted != nil {
			o.SetDeletionTimestamp(&metav1.Time{})
			o.SetLabels(map[string]string{"being": "deleted"})
		}
		o.SetUID("")
		o.SetResourceVersion("")
		o.SetCreationTimestamp(metav1.Time{})
		data := map[string]string{}
		if n, ok := o.(*corev1.Secret); ok {
			for name, value := range n.Data {
				data[name] = decodedToken(string(value))
			}
			n.Data = nil
		}
		text := must(json.MarshalIndent(map[string]any{"object": o, "data": data}, "", "  "))
		s.texts[key] = anyUID.ReplaceAllString(known.Replace(string(text)), "UID of something gone")
	}
	return s
}

// decodedToken returns the header and the claims of a token, and any other text as
// it is: signatures are random.
func decodedToken(text string) string {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return text
	}
	header, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		return text
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return text
	}
	return string(header) + "." + string(claims)
}

// An eventDifference is one object that is not the same on both sides once both
// are at rest, the first time that there is one.
type eventDifference struct {
	key            objectKey
	upstream, ours metav1.Object // nil if it does not exist
	relist         bool          // upstream's watches had broken
	signFailed     bool

	upstreamState, oursState     worldState
	upstreamActions, oursActions []fake.Action // since both sides were the same
}

// An eventCase is a sequence and what both sides made of it.
type eventCase struct {
	steps []*eventStep
	done  []string // the steps so far, with what came of them
	diffs []*eventDifference
	err   error
}

// run does the steps in both worlds until they differ, or until the end.
func (c *eventCase) run(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer synctest.Wait()
	defer cancel()
	key := tokenKeys()[1]
	theirs, ours := newEventWorld(ctx), newEventWorld(ctx)
	generator := must(upstreamtokens.JWTTokenGenerator(legacyIssuer, key.key))
	upstream, wait := startUpstream(ctx, theirs.cluster, newFailingGenerator(theirs, generator.GenerateToken), []byte(eventsRootCA))
	defer func() {
		cancel()
		wait()
	}()
	reader := ours.cluster.Reader()
	tokens := must(sacontroller.NewTokens(sacontroller.TokensConfig{
		Reader: reader, Client: ours.cluster, Issuer: failingIssuer{ours, benchmarkIssuer(key)}, RootCA: []byte(eventsRootCA),
	}))
	accounts := must(sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: reader, Client: ours.cluster}))
	publisher := must(rootca.NewConfigMaps(rootca.ConfigMapsConfig{Reader: reader, Client: ours.cluster, RootCA: []byte(eventsRootCA)}))
	for _, step := range append([]*eventStep{{text: "start", do: func(*eventWorld) error { return nil }, settle: true}}, c.steps...) {
		theirErr, ourErr := step.do(theirs), step.do(ours)
		c.done = append(c.done, fmt.Sprintf("%s: %v", step.text, ourErr))
		if fmt.Sprint(theirErr) != fmt.Sprint(ourErr) {
			c.err = fmt.Errorf("a step meets %v on upstream's side and %v on ours: the sides were not the same\n%s", theirErr, ourErr, c)
			return
		}
		if !step.settle {
			continue
		}
		upstream.settle(t, step.relist)
		if step.relist { // who lists again looks at everything again
			tokens.Recheck()
		}
		if step.shuffle > 0 {
			ours.cluster.Shuffle(step.shuffle)
		}
		// Upstream makes an account before it hears of what happened later, so ours must
		// too: whether a Secret is looked at before its account is there is chance.
		if err := errors.Join(ours.cluster.Settle(ctx, accounts), ours.cluster.Settle(ctx, tokens, accounts, publisher)); err != nil {
			c.err = fmt.Errorf("our side doesn't settle: %w\n%s", err, c)
			return
		}
		c.done = append(c.done, fmt.Sprintf("  everything settles; upstream's watches break: %t", step.relist))
		if c.compare(t, theirs, ours, step); len(c.diffs) > 0 {
			return
		}
	}
}

func (c *eventCase) compare(t *testing.T, theirs, ours *eventWorld, step *eventStep) {
	upstreamActions, upstreamFailed := theirs.settled()
	oursActions, oursFailed := ours.settled()
	upstream, our := theirs.state(t), ours.state(t)
	keys := maps.Clone(upstream.texts)
	maps.Copy(keys, our.texts)
	sorted := slices.SortedFunc(maps.Keys(keys), func(a, b objectKey) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	for _, key := range sorted {
		if upstream.texts[key] != our.texts[key] {
			c.diffs = append(c.diffs, &eventDifference{
				key: key, upstream: upstream.objects[key], ours: our.objects[key], relist: step.relist, signFailed: upstreamFailed+oursFailed > 0,
				upstreamState: upstream, oursState: our, upstreamActions: upstreamActions, oursActions: oursActions,
			})
		}
	}
}

func (c *eventCase) String() string { return "steps:\n\t" + strings.Join(c.done, "\n\t") }

func (d *eventDifference) String() string {
	return fmt.Sprintf("%s %s/%s (-upstream +ours):\n%s\nupstream's side:\n%s\nour side:\n%s", d.key.kind, d.key.namespace, d.key.name,
		cmp.Diff(strings.Split(d.upstreamState.texts[d.key], "\n"), strings.Split(d.oursState.texts[d.key], "\n")),
		story(d.upstreamActions), story(d.oursActions))
}

func story(actions []fake.Action) string {
	return fake.FormatActions(slices.DeleteFunc(slices.Clone(actions), func(a fake.Action) bool { return a.Verb == "list" || a.Verb == "watch" }))
}

// ignoreErrors discards what upstream logs. One of its handlers of errors makes a
// process wait between two of them, which would tie the clocks of cases together.
func ignoreErrors(t *testing.T) {
	t.Helper()
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	before := utilruntime.ErrorHandlers
	utilruntime.ErrorHandlers = nil
	t.Cleanup(func() { utilruntime.ErrorHandlers = before })
}

// TestEvents gives upstream's controllers and ours the same sequences of what
// users do, and compares what they leave behind.
func TestEvents(t *testing.T) {
	ignoreErrors(t)
	known := newDeviations(eventDeviations()...)
	started := time.Now()
	var steps atomic.Int64
	generate.Check(t, generate.Count(4_000, 200_000), func() func(*generate.Source) error {
		return func(s *generate.Source) error {
			c := &eventCase{steps: newEventSteps(s)}
			synctest.Test(t, c.run)
			steps.Add(int64(len(c.done)))
			if c.err != nil {
				return c.err
			}
			for _, d := range c.diffs {
				if !known.explain(d) {
					return fmt.Errorf("upstream and we differ: %s\n%s", d, c)
				}
			}
			return nil
		}
	})
	t.Logf("%d steps and settlings in %v", steps.Load(), time.Since(started).Round(time.Second))
	if testing.Short() {
		return // a few hundred sequences don't meet every deviation
	}
	known.report(t)
}
