package tokens_test

import (
	"context"
	"crypto"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
)

// A modelToken is a token and what it says.
type modelToken struct {
	text          string
	legacy        bool
	key           int // in modelKeys
	audiences     []string
	nbf, iat, exp time.Time
	account       types.UID
	kind, object  string // what it is bound to, empty if nothing; of a legacy token the Secret
	objectUID     types.UID
	gone          bool // the model has seen that it can't be accepted any more
}

var modelKeys = []crypto.Signer{ecKey, rsaKey, otherKey}

// A model is a world that changes at random, authenticators that look at it, and
// the tokens that were made so far.
type model struct {
	*tokentest.World
	random  *rand.Rand
	now     time.Time
	keys    []bool // which of modelKeys are published
	uids    int
	tokens  []*modelToken
	labels  map[string]bool // reasons and whats seen
	current map[string]*tokens.Authenticator
}

func newModel(t *testing.T, seed uint64) *model {
	m := &model{
		World: tokentest.NewWorld(), random: rand.New(rand.NewPCG(seed, seed)), now: now,
		keys: []bool{true, true, true}, labels: map[string]bool{}, current: map[string]*tokens.Authenticator{},
	}
	build := func(name string, size int, reversed bool) {
		m.current[name] = tokentest.NewAuthenticator(t, m.World, func(cfg *tokens.AuthenticatorConfig) {
			cfg.SignatureCacheBytes, cfg.DisableSignatureCache = int64(max(size, 0)), size < 0
			cfg.Now = func() time.Time { return m.now }
			cfg.Keys = sourceByID(func(id string) []keys.PublicKey { return m.published(id, reversed) })
			cfg.Observe = func(_ context.Context, e tokens.Event) { m.labels[string(e.Reason)+" "+e.Subject] = true }
		})
	}
	// T4: the verdict depends neither on what is cached nor on the order of keys.
	build("cache", 0, false)
	build("small cache", 10_000, false)
	build("no cache, keys reversed", -1, true)
	return m
}

func (m *model) published(id string, reversed bool) (list []keys.PublicKey) {
	for i, key := range modelKeys {
		if own := must(idOf(key)); m.keys[i] && (id == "" || id == own) {
			list = append(list, keys.PublicKey{ID: own, Key: key.Public()})
		}
	}
	if reversed {
		slices.Reverse(list)
	}
	return list
}

func (m *model) objects() map[string]metav1.Object {
	all := map[string]metav1.Object{}
	if o, ok := m.Accounts["ci/builder"]; ok {
		all["account"] = o
	}
	if o, ok := m.Pods["ci/job"]; ok {
		all["pod"] = o
	}
	if o, ok := m.Nodes["worker"]; ok {
		all["node"] = o
	}
	for name, o := range m.Secrets {
		all[strings.TrimPrefix(name, "ci/")] = o
	}
	return all
}

// change makes one random change of the world. No UID comes back.
func (m *model) change() {
	m.repair()
	uid, fresh := m.newUID(), tokentest.NewWorld()
	switch m.random.IntN(60) {
	case 0:
		fresh.Accounts["ci/builder"].UID = uid
		m.Accounts["ci/builder"] = fresh.Accounts["ci/builder"]
	case 1:
		fresh.Pods["ci/job"].UID = uid
		m.Pods["ci/job"] = fresh.Pods["ci/job"]
	case 2:
		fresh.Nodes["worker"].UID = uid
		m.Nodes["worker"] = fresh.Nodes["worker"]
	case 3:
		name := []string{"ci/settings", "ci/builder-token"}[m.random.IntN(2)]
		fresh.Secrets[name].UID = uid
		m.Secrets[name] = fresh.Secrets[name]
	case 4:
		switch m.random.IntN(4) {
		case 0:
			delete(m.Accounts, "ci/builder")
		case 1:
			delete(m.Pods, "ci/job")
		case 2:
			delete(m.Nodes, "worker")
		case 3:
			delete(m.Secrets, []string{"ci/settings", "ci/builder-token"}[m.random.IntN(2)])
		}
	case 5, 6: // a deletion that something holds up; the time only moves back
		objects := m.objects()
		for _, name := range slices.Sorted(maps.Keys(objects)) {
			object := objects[name]
			if m.random.IntN(4) == 0 && object.GetDeletionTimestamp() == nil {
				object.SetDeletionTimestamp(&metav1.Time{Time: m.now.Add(time.Duration(m.random.IntN(60)-30) * time.Second)})
			}
		}
	case 7, 8:
		i := m.random.IntN(len(m.keys))
		m.keys[i] = !m.keys[i]
	case 10, 11, 12, 13, 14, 15:
		m.now = m.now.Add(time.Duration(m.random.IntN(300)) * time.Second)
	case 9:
		if s, ok := m.Secrets["ci/builder-token"]; ok && s.Labels == nil && m.random.IntN(3) == 0 {
			s.Labels = map[string]string{tokens.InvalidSinceLabel: "2026-01-01"}
		}
	default:
	}
}

func (m *model) newUID() types.UID {
	m.uids++
	return types.UID(fmt.Sprint("uid-", m.uids))
}

// repair brings back, sooner or later, what is gone: keys as they were, objects
// as others.
func (m *model) repair() {
	for i := range m.keys {
		m.keys[i] = m.keys[i] || m.random.IntN(10) == 0
	}
	soon := func(missing bool, object metav1.Object, put func()) {
		if missing && m.random.IntN(10) == 0 {
			object.SetUID(m.newUID())
			put()
		}
	}
	old := func(object metav1.Object) bool {
		deleted := object.GetDeletionTimestamp()
		return deleted != nil && m.now.Sub(deleted.Time) > 2*time.Minute
	}
	fresh := tokentest.NewWorld()
	for _, key := range slices.Sorted(maps.Keys(fresh.Accounts)) {
		object := fresh.Accounts[key]
		soon(m.Accounts[key] == nil || old(m.Accounts[key]), object, func() { m.Accounts[key] = object })
	}
	for _, key := range slices.Sorted(maps.Keys(fresh.Secrets)) {
		object := fresh.Secrets[key]
		soon(m.Secrets[key] == nil || old(m.Secrets[key]), object, func() { m.Secrets[key] = object })
	}
	for _, key := range slices.Sorted(maps.Keys(fresh.Pods)) {
		object := fresh.Pods[key]
		soon(m.Pods[key] == nil || old(m.Pods[key]), object, func() { m.Pods[key] = object })
	}
	for _, key := range slices.Sorted(maps.Keys(fresh.Nodes)) {
		object := fresh.Nodes[key]
		soon(m.Nodes[key] == nil || old(m.Nodes[key]), object, func() { m.Nodes[key] = object })
	}
}

// mint makes a token of what there is, or of what there was.
func (m *model) mint(t *testing.T) {
	account := m.Accounts["ci/builder"]
	if account == nil {
		return
	}
	tok := &modelToken{key: m.random.IntN(len(modelKeys)), account: account.UID}
	if secret := m.Secrets["ci/builder-token"]; secret != nil && m.random.IntN(4) == 0 {
		tok.legacy, tok.audiences = true, []string{api, "api.internal"}
		tok.kind, tok.object = "secret", "builder-token"
		claims := tokentest.LegacyClaims()
		claims["kubernetes.io/serviceaccount/service-account.uid"] = account.UID
		tok.text = tokentest.Mint(t, modelKeys[tok.key], claims)
		secret.Data["token"] = []byte(tok.text)
		m.tokens = append(m.tokens, tok)
		return
	}
	tok.audiences = [][]string{{api}, {"vault"}, {"vault", "api.internal"}}[m.random.IntN(3)]
	tok.iat = m.now.Add(time.Duration(m.random.IntN(200)-100) * time.Second)
	tok.nbf = m.now.Add(time.Duration(m.random.IntN(200)-100) * time.Second)
	tok.exp = tok.iat.Add(time.Duration(m.random.IntN(1800)) * time.Second)
	claims := tokentest.BoundClaims()
	claims["aud"], claims["iat"], claims["nbf"], claims["exp"] = tok.audiences, tok.iat.Unix(), tok.nbf.Unix(), tok.exp.Unix()
	p := private(claims)
	delete(p, "pod")
	delete(p, "node")
	p["serviceaccount"] = object{"name": "builder", "uid": account.UID}
	kinds := map[string]string{"pod": "job", "node": "worker", "secret": "settings"}
	if kind := []string{"", "pod", "node", "secret"}[m.random.IntN(4)]; kind != "" {
		if o, ok := m.objects()[map[string]string{"pod": "pod", "node": "node", "secret": "settings"}[kind]]; ok {
			tok.kind, tok.object, tok.objectUID = kind, kinds[kind], o.GetUID()
			p[kind] = object{"name": tok.object, "uid": tok.objectUID}
		}
	}
	id := must(idOf(modelKeys[tok.key]))
	if m.random.IntN(4) == 0 {
		id = "" // all keys are tried
	}
	tok.text = tokentest.MintAs(t, modelKeys[tok.key], id, claims)
	m.tokens = append(m.tokens, tok)
}

// accepts is the rule, written again (T1).
func (m *model) accepts(tok *modelToken, audience string) bool {
	if audience == "" {
		if !slices.Contains(tok.audiences, api) && !slices.Contains(tok.audiences, "api.internal") {
			return false
		}
	} else if !slices.Contains(tok.audiences, audience) {
		return false
	}
	return m.keys[tok.key] && m.holds(tok) && !m.now.Add(time.Minute).Before(tok.nbf) && !m.now.Add(time.Minute).Before(tok.iat)
}

// holds reports whether neither time nor deletion has ended the token.
func (m *model) holds(tok *modelToken) bool {
	account := m.Accounts["ci/builder"]
	if account == nil || account.UID != tok.account {
		return false
	}
	if tok.legacy {
		secret := m.Secrets["ci/"+tok.object]
		return secret != nil && secret.DeletionTimestamp == nil && string(secret.Data["token"]) == tok.text && account.DeletionTimestamp == nil &&
			secret.Labels[tokens.InvalidSinceLabel] == ""
	}
	alive := func(object metav1.Object) bool {
		deleted := object.GetDeletionTimestamp()
		return deleted == nil || m.now.Sub(deleted.Time) <= time.Minute
	}
	if m.now.Sub(tok.exp) > time.Minute || !alive(account) {
		return false
	}
	if tok.kind == "" {
		return true
	}
	name := tok.kind
	if tok.kind == "secret" {
		name = tok.object
	}
	object, ok := m.objects()[name]
	return ok && object.GetUID() == tok.objectUID && alive(object)
}

// T1..T4, V13, L05: against a rule that is written again, whatever the order of
// keys and whatever is cached, and never accepted again after an end.
func TestModel(t *testing.T) {
	steps := 800
	for seed := range uint64(2) {
		m := newModel(t, seed)
		verdicts := map[bool]int{}
		for step := range steps {
			m.change()
			if step%3 == 0 {
				m.mint(t)
			}
			if len(m.tokens) == 0 {
				continue
			}
			// Young tokens more often than old ones.
			tok := m.tokens[max(0, len(m.tokens)-1-m.random.IntN(6))]
			audience := []string{"", "vault", "api.internal", "elsewhere"}[m.random.IntN(4)]
			want := m.accepts(tok, audience)
			verdicts[want]++
			for name, a := range m.current {
				var requested []string
				if audience != "" {
					requested = []string{audience}
				}
				id, err := a.Authenticate(t.Context(), tok.text, requested...)
				if (err == nil) != want || (id != nil) != want {
					t.Fatalf("seed %d, step %d, %s, audience %q: %v, want accepted %v\ntoken %+v", seed, step, name, audience, err, want, tok)
				}
			}
			if tok.gone && want {
				t.Fatalf("seed %d, step %d: accepted again: %+v", seed, step, tok)
			}
			tok.gone = tok.gone || !tok.legacy && !m.holds(tok)
		}
		if verdicts[true] < steps/20 || verdicts[false] < steps/20 {
			t.Errorf("seed %d: verdicts %v, want enough of both", seed, verdicts)
		}
		if len(m.labels) > 40 {
			t.Errorf("%d labels for metrics: %v", len(m.labels), m.labels)
		}
		for label := range m.labels {
			if strings.Contains(label, "uid-") || strings.Contains(label, "builder") || strings.Contains(label, "ci") {
				t.Errorf("the label %q has text of the token", label)
			}
		}
	}
}

// T6, J19: refusing a long text costs no more than refusing a short one.
func TestCostOfLongTokens(t *testing.T) {
	a := tokentest.NewAuthenticator(t, tokentest.NewWorld(), nil)
	cost := func(text string) (allocations float64, bytes uint64) {
		allocations = testing.AllocsPerRun(10, func() {
			if _, err := a.Authenticate(t.Context(), text); err == nil {
				t.Fatal("accepted")
			}
		})
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 10 {
			if _, err := a.Authenticate(t.Context(), text); err == nil {
				t.Fatal("accepted")
			}
		}
		runtime.ReadMemStats(&after)
		return allocations, (after.TotalAlloc - before.TotalAlloc) / 10
	}
	shortAllocations, _ := cost("x" + strings.Repeat(".", 2))
	for _, text := range []string{strings.Repeat(".", 10<<20), strings.Repeat("a", 10<<20), tokentest.Mint(t, ecKey, tokentest.BoundClaims()) + strings.Repeat("A", 10<<20)} {
		if allocations, bytes := cost(text); allocations > shortAllocations+2 || bytes > 16<<10 {
			t.Errorf("%.0f allocations of %d bytes for %d bytes, want about %.0f", allocations, bytes, len(text), shortAllocations)
		}
	}
}
