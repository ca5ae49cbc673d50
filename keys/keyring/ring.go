package keyring

import (
	"cmp"
	"context"
	"crypto"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kubesa/serviceaccount/internal/age"
	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/keys"
)

// A ConfigError is one mistake in a [Config]. It has the fields Config, Field and
// Problem. Only another config helps.
type ConfigError = configerror.Error

// Config configures [New], [Open] and [OpenStore]. Its zero value is strict. All processes
// that open one ring should have the same.
type Config struct {
	// MaxAge is how long verifiers may cache the keys, the max-age of the
	// discovery documents. A key doesn't sign until it has been published for that
	// long. Zero means one hour.
	MaxAge time.Duration
	// MaxTokenLifetime is the lifetime of the longest token that the ring signs. A
	// key verifies for that long after it has ceased to sign. Zero means 365 days, to
	// which Kubernetes extends the tokens of pods. Secret-based tokens never expire:
	// keys that sign them must not retire while they are in use, whatever this is.
	MaxTokenLifetime time.Duration
	// ReloadEvery is the interval at which a folder or Store is checked for changes by
	// others. Zero means one second. It must be less than a minute.
	ReloadEvery time.Duration
	// InsecureParents doesn't check the folders above that of [Open]. The root of a
	// volume of a pod may be writable by others, or with fsGroup by a group: a ring in
	// a folder below it needs this. Whoever may write there can remove the ring, and
	// put another folder of this user in its place.
	InsecureParents bool
	// Observe, if set, is called after each step, and each time that changes by others
	// were found, the store could not be read, or can be read again. A key that begins or ceases to
	// sign is a change too. It must not take steps.
	Observe func(ctx context.Context, e keys.Event)
	// Now returns the current time. If nil, time.Now is used.
	Now func() time.Time
}

func (cfg *Config) complete(list *configerror.List) {
	configerror.NotNegative(list, "MaxAge", cfg.MaxAge)
	configerror.NotNegative(list, "MaxTokenLifetime", cfg.MaxTokenLifetime)
	configerror.NotNegative(list, "ReloadEvery", cfg.ReloadEvery)
	if cfg.ReloadEvery >= time.Minute {
		list.Add("ReloadEvery", "is %s, want less than a minute", cfg.ReloadEvery)
	}
	cfg.MaxAge = cmp.Or(cfg.MaxAge, time.Hour)
	cfg.MaxTokenLifetime = cmp.Or(cfg.MaxTokenLifetime, 365*24*time.Hour)
	cfg.ReloadEvery = cmp.Or(cfg.ReloadEvery, time.Second)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
}

// A Ring is the keys of an issuer over time: a [keys.Signer] with one of them, a
// [keys.Source] of them all. A key is added, which publishes it; promoted, so that
// it signs; and retired. Each step is denied with a [*StepError] while it could
// invalidate a token: [Ring.Plan] says when it is allowed. [Ring.EnsureSigning]
// takes the first steps.
//
// A Ring is safe for concurrent use. Steps take effect immediately; tokens are
// signed and verified meanwhile. It prints as the ids of its keys.
type Ring struct {
	rules   rotation
	now     func() time.Time
	clock   age.Clock
	store   Store         // nil if the ring is in memory only
	remote  bool          // the store may take long
	guard   *flight.Guard // of calls of the store
	every   time.Duration
	observe func(context.Context, keys.Event)

	steps   chan struct{} // has one while a step is taken or the store is loaded
	current atomic.Pointer[ringView]

	loadMu  sync.Mutex               // held by the one that looks for changes
	looked  atomic.Pointer[age.Time] // when that last began
	loadErr atomic.Pointer[error]
}

// A ringView is a Ring between two steps.
type ringView struct {
	version string // of the Store
	stored  bool   // the Store has a ring

	all     []Key
	signers map[string]*keys.LocalSigner // of the keys that aren't VerifyOnly
	publics map[string]crypto.PublicKey  // of those that are
	signing *keys.LocalSigner
	set     *keys.Set
}

// New returns an empty ring in memory, or an error naming every invalid field, each
// as a [*ConfigError].
func New(cfg Config) (*Ring, error) { return newRing(cfg, nil, false) }

func newRing(cfg Config, store Store, remote bool) (*Ring, error) {
	list := configerror.List{Config: "keyring.Config"}
	cfg.complete(&list)
	if remote {
		list.Require("Store", store, "a Store")
		if cfg.InsecureParents {
			list.Add("InsecureParents", "is set, which is for folders only")
		}
	}
	if err := list.Err(); err != nil {
		return nil, err
	}
	r := &Ring{
		rules:   rotation{cfg.MaxAge, cfg.MaxTokenLifetime},
		now:     func() time.Time { return cfg.Now().UTC().Round(0) }, // as it comes back from a file
		clock:   cfg.Now,
		store:   store,
		remote:  remote,
		guard:   flight.NewGuard("the store of the ring", hungCalls),
		every:   cfg.ReloadEvery,
		observe: cfg.Observe,
		steps:   make(chan struct{}, 1),
	}
	r.current.Store(newRingView(nil, map[string]*keys.LocalSigner{}, map[string]crypto.PublicKey{}))
	return r, nil
}

func newRingView(all []Key, signers map[string]*keys.LocalSigner, publics map[string]crypto.PublicKey) *ringView {
	v := &ringView{all: all, signers: signers, publics: publics}
	list := make([]keys.PublicKey, len(all))
	for i, key := range all {
		list[i] = keys.PublicKey{ID: key.ID, Algorithm: key.Algorithm, Key: publics[key.ID]}
		if signer := signers[key.ID]; signer != nil {
			list[i] = signer.PublicKey()
			if key.State() == Signing {
				v.signing = signer
			}
		}
	}
	v.set = keys.SetOf(list)
	return v
}

// with returns v after its keys have become keys, of which some are new.
func (v *ringView) with(all []Key, added []newKey) *ringView {
	signers, publics := maps.Clone(v.signers), maps.Clone(v.publics)
	for _, key := range added {
		if key.signer != nil {
			signers[key.public.ID] = key.signer
		} else {
			publics[key.public.ID] = key.public.Key
		}
	}
	gone := func(id string) bool { return find(all, id) < 0 }
	maps.DeleteFunc(signers, func(id string, _ *keys.LocalSigner) bool { return gone(id) })
	maps.DeleteFunc(publics, func(id string, _ crypto.PublicKey) bool { return gone(id) })
	return newRingView(all, signers, publics)
}

// A newKey is a key on its way into a ring.
type newKey struct {
	public  keys.PublicKey
	signer  *keys.LocalSigner // nil if the key only verifies
	private crypto.Signer     // nil if the key only verifies
}

func newPrivateKey(key crypto.Signer) (newKey, error) {
	signer, err := keys.NewSigner(key)
	if err != nil {
		return newKey{}, err
	}
	return newKey{signer.PublicKey(), signer, key}, nil
}

func (k newKey) ringKey() Key {
	return Key{ID: k.public.ID, Algorithm: k.public.Algorithm, VerifyOnly: k.signer == nil}
}

// Add publishes a key that is to sign later, and returns its id. A ring in a store
// accepts only keys that [keys.EncodePrivateKey] does.
//
// An unusable key gives a [*keys.KeyError]; one that the ring has, or one too many, a
// [*StepError]. Any other error is of the store or the context, and leaves open whether the step
// was taken: [Ring.Keys] says.
func (r *Ring) Add(ctx context.Context, key crypto.Signer) (id string, err error) {
	added, err := newPrivateKey(key)
	if err != nil {
		return "", err
	}
	return added.public.ID, r.add(ctx, added)
}

// AddPublic adds a key with which another issuer has signed until now, such as one of
// kube-apiserver's --service-account-key-file, so that its tokens stay valid. It fails
// as [Ring.Add] does.
func (r *Ring) AddPublic(ctx context.Context, key crypto.PublicKey) (id string, err error) {
	pub, err := keys.NewPublicKey(key)
	if err != nil {
		return "", err
	}
	return pub.ID, r.add(ctx, newKey{public: pub})
}

func (r *Ring) add(ctx context.Context, key newKey) error {
	return r.step(ctx, []newKey{key}, func(all []Key) ([]Key, error) {
		return r.rules.add(all, key.ringKey(), r.now())
	})
}

// Promote makes a key sign instead of the one that does. It must have been published
// for as long as verifiers may cache the keys; only the first key of a ring may sign
// immediately. For the key that signs it does nothing.
func (r *Ring) Promote(ctx context.Context, id string) error {
	return r.step(ctx, nil, func(all []Key) ([]Key, error) {
		return r.rules.promote(all, id, r.now())
	})
}

// Retire removes a key, and its entry from the store. It must not sign, and the
// longest token that it can have signed must have expired. If the file can't be
// removed, the error says so; the key has been retired, and the next step tries
// again.
func (r *Ring) Retire(ctx context.Context, id string) error {
	return r.step(ctx, nil, func(all []Key) ([]Key, error) {
		return r.rules.retire(all, id, r.now())
	})
}

// Revoke removes a compromised key immediately: this ring rejects its tokens from now
// on, other verifiers once they fetch the keys again. If it signs, the key that has
// been published the longest takes over, however early; without another key the
// step is denied.
func (r *Ring) Revoke(ctx context.Context, id string) error {
	return r.step(ctx, nil, func(all []Key) ([]Key, error) {
		return r.rules.revoke(all, id, r.now())
	})
}

// Take takes a step of [Ring.Plan].
func (r *Ring) Take(ctx context.Context, step Step) error {
	switch step.Action {
	case Promote:
		return r.Promote(ctx, step.ID)
	case Retire:
		return r.Retire(ctx, step.ID)
	}
	return fmt.Errorf("keyring: unknown action %q, want Promote or Retire", step.Action)
}

// step takes one step, in the store first if there is one.
func (r *Ring) step(ctx context.Context, added []newKey, decide func([]Key) ([]Key, error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	began := time.Now()
	before, err := r.takeStep(ctx, added, decide)
	r.tell(ctx, before, began, err)
	return err
}

func (r *Ring) takeStep(ctx context.Context, added []newKey, decide func([]Key) ([]Key, error)) (before *ringView, err error) {
	before = r.current.Load()
	select {
	case r.steps <- struct{}{}:
		defer func() { <-r.steps }()
	case <-ctx.Done():
		return before, ctx.Err()
	}
	before = r.current.Load()
	if r.store != nil {
		view, err := r.change(ctx, before, added, decide)
		r.current.Store(view)
		return before, err
	}
	all, err := decide(before.all)
	if err != nil {
		return before, err
	}
	r.current.Store(before.with(all, added))
	return before, nil
}

// tell calls Observe.
func (r *Ring) tell(ctx context.Context, before *ringView, began time.Time, err error) {
	if r.observe != nil {
		now := r.current.Load()
		r.observe(ctx, keys.Event{Keys: len(now.all), Changed: !slices.Equal(before.all, now.all), Err: err, Took: time.Since(began)})
	}
}

// Sign implements [keys.Signer] with the key that signs now. Without one it returns
// [keys.ErrNoSigningKey].
func (r *Ring) Sign(ctx context.Context, payload []byte) (string, error) {
	signer := r.fresh(ctx).signing
	if signer == nil {
		return "", keys.ErrNoSigningKey
	}
	return signer.Sign(ctx, payload)
}

// SignTyped implements [keys.TypedSigner]. It fails as [Ring.Sign] does.
func (r *Ring) SignTyped(ctx context.Context, payload []byte) (string, error) {
	signer := r.fresh(ctx).signing
	if signer == nil {
		return "", keys.ErrNoSigningKey
	}
	return signer.SignTyped(ctx, payload)
}

// PublicKeys implements [keys.Source]. While the store can't be read, the last good
// keys are used, see [Ring.Err]; an unknown id then gives an error that wraps
// [keys.ErrUnavailable], and so it does while a step is being taken: the store may have
// the key.
func (r *Ring) PublicKeys(ctx context.Context, id string) ([]keys.PublicKey, error) {
	list, _ := r.fresh(ctx).set.PublicKeys(ctx, id)
	if len(list) > 0 || r.store == nil {
		return list, nil
	}
	// The first key of a ring signs immediately, elsewhere too.
	if !r.loadMu.TryLock() {
		return nil, errBusy
	}
	looked := r.look(ctx)
	list, _ = r.current.Load().set.PublicKeys(ctx, id)
	switch err := r.Err(); {
	case len(list) > 0:
		return list, nil
	case err != nil:
		return nil, fmt.Errorf("%w: %w", keys.ErrUnavailable, err)
	case !looked:
		return nil, errBusy
	}
	return nil, nil
}

// errBusy is about a key that is unknown while a ring is being read or changed.
var errBusy = fmt.Errorf("%w: the ring is being read or changed", keys.ErrUnavailable)

// MaxAge returns Config.MaxAge, or its default.
func (r *Ring) MaxAge() time.Duration { return r.rules.maxAge }

// MaxTokenLifetime returns Config.MaxTokenLifetime, or its default.
func (r *Ring) MaxTokenLifetime() time.Duration { return r.rules.maxLifetime }

// ChangedAt returns when the last step was taken, zero if none was.
func (r *Ring) ChangedAt() (t time.Time) {
	for _, key := range r.fresh(context.Background()).all {
		t = latest(t, key.Added, key.Promoted, key.Demoted)
	}
	return t
}

// Keys returns the keys of the ring in the order in which they were added.
func (r *Ring) Keys() []Key { return slices.Clone(r.fresh(context.Background()).all) }

// Plan returns the possible next steps, the earliest first: those that are safe now,
// and those that are later. They may be taken, but needn't: a published key may wait
// for an emergency.
func (r *Ring) Plan(now time.Time) (safe, later []Step) {
	steps := r.rules.plan(r.fresh(context.Background()).all)
	i := slices.IndexFunc(steps, func(s Step) bool { return s.Earliest.After(now) })
	if i < 0 {
		i = len(steps)
	}
	return steps[:i:i], steps[i:]
}

// Err returns why the store could not be read the last time: nil if it could.
func (r *Ring) Err() error {
	if err := r.loadErr.Load(); err != nil {
		return *err
	}
	return nil
}

// fresh returns the view, after checking for changes of others if it is time and
// nobody else does.
func (r *Ring) fresh(ctx context.Context) *ringView {
	if r.store == nil {
		return r.current.Load()
	}
	if r.clock.Now().Since(*r.looked.Load()) >= r.every && r.loadMu.TryLock() {
		r.look(ctx)
	}
	return r.current.Load()
}

// look loads the store and reports whether it did. The caller has locked loadMu.
func (r *Ring) look(caller context.Context) bool {
	// Whoever gives up keeps nobody from learning of revoked keys.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(caller), loadTimeout)
	done := make(chan bool, 1)
	go func() {
		defer cancel()
		done <- r.lookNow(ctx)
	}()
	wait := folderWait
	if r.remote {
		wait = loadWait
	}
	select {
	case looked := <-done:
		return looked
	case <-time.After(wait):
	case <-caller.Done():
	}
	return false
}

// loadTimeout bounds the loading of a store, and loadWait and folderWait how long the one
// that it is loaded for waits, who then goes on with the keys that there are, as all others
// do. Of calls that outlive that there are hungCalls at most.
const (
	loadTimeout = 10 * time.Second
	loadWait    = time.Second / 2
	folderWait  = 2 * time.Second
	hungCalls   = 4
)

func (r *Ring) lookNow(ctx context.Context) bool {
	before, failed, began, start := r.current.Load(), r.Err() != nil, r.clock.Now(), time.Now()
	looked, err := r.reload(ctx)
	r.looked.Store(&began)
	r.loadMu.Unlock()
	if err != nil || looked && failed || r.current.Load() != before {
		r.tell(ctx, before, start, err)
	}
	return looked
}

// reload loads the store, unless a step is being taken, which does so too.
func (r *Ring) reload(ctx context.Context) (looked bool, err error) {
	select {
	case r.steps <- struct{}{}:
		defer func() { <-r.steps }()
	default:
		return false, nil
	}
	view, err := r.load(ctx, r.current.Load())
	if err != nil {
		r.loadErr.Store(&err)
		return true, err
	}
	r.loadErr.Store(nil)
	r.current.Store(view)
	return true, nil
}

// String returns the ids of the keys and what they do.
func (r *Ring) String() string {
	if r == nil {
		return "keyring.Ring(nil)"
	}
	text := "keyring.Ring("
	for i, key := range r.current.Load().all {
		if i > 0 {
			text += ", "
		}
		text += key.ID + " " + string(key.State())
	}
	return text + ")"
}

// Format writes what String returns, whatever the verb.
func (r *Ring) Format(f fmt.State, _ rune) { fmt.Fprint(f, r.String()) }

// MarshalText returns what String returns, so that no encoder looks inside.
func (r *Ring) MarshalText() ([]byte, error) { return []byte(r.String()), nil }
