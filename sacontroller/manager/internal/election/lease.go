package election

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedcoordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// A lease is the Lease of one Manager, for client-go's elector, and says until when
// this process may work.
//
// Another process takes the lease LeaseDuration after it saw the last renewal, and
// it can't see one before it was sent. So validity counts from when a renewal was
// sent, not from when its answer came, and an answer that was lost gives none.
type lease struct {
	cfg    *Config
	client typedcoordinationv1.LeaseInterface

	mu      sync.Mutex
	stored  *coordinationv1.Lease // as it was last read or written; nil before
	missing time.Time             // since when each read has found no Lease; zero if the last one didn't
	began   time.Time             // the AcquireTime of what this process sent last
	renewed time.Time             // when the last renewal that was stored was sent; zero if there is none
	over    bool                  // this process will not work again
	lose    context.CancelFunc    // ends the work
}

var _ resourcelock.Interface = (*lease)(nil)

func newLease(cfg *Config, client typedcoordinationv1.LeaseInterface) *lease {
	return &lease{cfg: cfg, client: client, lose: func() {}}
}

// errOver is the answer to the elector once the lease was lost.
var errOver = errors.New("manager: this process has lost the lease, or released it")

// hold returns the context of the work, which is done when the lease is lost. It has
// the values of ctx.
func (l *lease) hold(ctx context.Context) context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	ctx, l.lose = context.WithCancel(ctx)
	return ctx
}

// remaining returns how long the work may go on as things are; 0 or less means that
// it must not.
func (l *lease) remaining() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.left()
}

// left is what remaining returns. The mutex must be held.
func (l *lease) left() time.Duration {
	if l.over {
		return 0
	}
	return l.cfg.RenewDeadline - elapsed(l.renewed, time.Now())
}

// elapsed returns how long ago since was at now. The monotonic clock stands still
// while the machine is suspended, the other one may be set: the longer time counts.
func elapsed(since, now time.Time) time.Duration {
	return max(now.Sub(since), now.Round(0).Sub(since.Round(0)))
}

// expire ends the work if no renewal has come in time. It is called when one ends.
func (l *lease) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left() <= 0 {
		l.end()
	}
}

// end ends the work for good. The mutex must be held.
func (l *lease) end() {
	l.over = true
	l.lose()
}

// grace is how long work may take to end after the lease was lost: the process has
// the rest of the time until the lease can be another's to end itself.
func (l *lease) grace() time.Duration { return (l.cfg.LeaseDuration - l.cfg.RenewDeadline) * 4 / 5 }

// expiryTolerance is how long after its expiry a lease that isn't renewed may
// still be held before the process is unhealthy.
const expiryTolerance = 20 * time.Second

// healthy returns an error if the work should have ended long ago.
func (l *lease) healthy() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.renewed.IsZero() || elapsed(l.renewed, time.Now()) < l.cfg.LeaseDuration+expiryTolerance {
		return nil
	}
	return fmt.Errorf("manager: the lease %s was not renewed in time", l.Describe())
}

// callTimeout bounds one call, so that one that hangs leaves time for another.
func (l *lease) callTimeout() time.Duration { return l.cfg.RenewDeadline / 2 }

// Get returns the record that is stored, and with it, as what tells one record from
// another, its resourceVersion: the times in it are those of the holder's clock,
// which may stand still, and in whole seconds. A lease that is another's is lost.
//
// The elector takes what is expired, has no holder or doesn't exist. Somebody may have
// edited or deleted the lease, and its holder not know yet: so this process waits its
// own LeaseDuration at least, unless the lease was released.
func (l *lease) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, l.callTimeout())
	defer cancel()
	stored, err := l.client.Get(ctx, l.cfg.Name, metav1.GetOptions{})
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		return l.absent(err)
	}
	l.stored, l.missing = stored, time.Time{}
	record := resourcelock.LeaseSpecToLeaderElectionRecord(&stored.Spec)
	if !l.owns(record) {
		if !l.renewed.IsZero() {
			l.end()
		}
		if !released(record) {
			record.HolderIdentity = l.another(record.HolderIdentity)
			record.LeaseDurationSeconds = max(record.LeaseDurationSeconds, int(l.cfg.LeaseDuration/time.Second))
		}
	}
	raw, err := json.Marshal([]any{record, stored.UID, stored.ResourceVersion})
	return record, raw, err
}

// absent returns what Get does if no Lease could be read: if there is none, a record of
// an unknown holder until that one, if there is any, has ended.
func (l *lease) absent(err error) (*resourcelock.LeaderElectionRecord, []byte, error) {
	if !apierrors.IsNotFound(err) {
		l.missing = time.Time{} // it may have been there meanwhile
		return nil, nil, err
	}
	if l.missing.IsZero() {
		l.missing = time.Now()
	}
	// What was released, or this process's once, may have been another's meanwhile.
	if l.left() > 0 || time.Since(l.missing) >= l.cfg.LeaseDuration {
		return nil, nil, err
	}
	record := &resourcelock.LeaderElectionRecord{HolderIdentity: l.another(""), LeaseDurationSeconds: int(l.cfg.LeaseDuration / time.Second)}
	return record, []byte(l.missing.String()), nil
}

// owns reports whether this process wrote record, and not another one that was given
// the same identity.
func (l *lease) owns(record *resourcelock.LeaderElectionRecord) bool {
	// What is stored has microseconds.
	began := record.AcquireTime.Truncate(time.Microsecond)
	return !l.began.IsZero() && record.HolderIdentity == l.cfg.Identity && began.Equal(l.began.Truncate(time.Microsecond))
}

// another returns identity, or a text that is not the Identity of this process.
func (l *lease) another(identity string) string {
	if identity == "" || identity == l.cfg.Identity {
		return "a process other than " + l.cfg.Identity
	}
	return identity
}

// released reports whether record is what a holder leaves whose work has ended.
func released(record *resourcelock.LeaderElectionRecord) bool {
	return record.HolderIdentity == "" && record.LeaseDurationSeconds == 1
}

// specOf returns record as a Lease has it. Changes of the holder are counted up to what
// a Lease can have: an API server rejects what would follow.
func specOf(record resourcelock.LeaderElectionRecord) coordinationv1.LeaseSpec {
	record.LeaderTransitions = min(record.LeaderTransitions, math.MaxInt32)
	return resourcelock.LeaderElectionRecordToLeaseSpec(&record)
}

// Create creates the Lease.
func (l *lease) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.write(ctx, record, func(ctx context.Context) (*coordinationv1.Lease, error) {
		created := &coordinationv1.Lease{Spec: specOf(record)}
		created.Namespace, created.Name = l.cfg.Namespace, l.cfg.Name
		return l.client.Create(ctx, created, metav1.CreateOptions{})
	})
}

// Update stores record in place of what was last read or written, or fails.
func (l *lease) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	l.mu.Lock()
	stored := l.stored
	l.mu.Unlock()
	if stored == nil {
		return errors.New("manager: the lease was not read yet")
	}
	return l.write(ctx, record, func(ctx context.Context) (*coordinationv1.Lease, error) {
		updated := stored.DeepCopy()
		updated.Spec = specOf(record)
		return l.client.Update(ctx, updated, metav1.UpdateOptions{})
	})
}

func (l *lease) write(ctx context.Context, record resourcelock.LeaderElectionRecord, call func(context.Context) (*coordinationv1.Lease, error)) error {
	sent := time.Now()
	l.mu.Lock()
	over := l.over
	l.began = record.AcquireTime.Time
	l.mu.Unlock()
	if over {
		return errOver
	}
	ctx, cancel := context.WithTimeout(ctx, l.callTimeout())
	defer cancel()
	stored, err := call(ctx)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stored = stored
	if l.over {
		return errOver
	}
	l.renewed = sent
	time.AfterFunc(l.cfg.RenewDeadline-time.Since(sent), l.expire)
	return nil
}

// release gives the lease to whoever wants it, if it is this process's. The work has
// ended, and the elector, too.
func (l *lease) release(ctx context.Context) error {
	l.mu.Lock()
	held := l.left() > 0
	l.end()
	l.mu.Unlock()
	if !held {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.callTimeout())
	defer cancel()
	// A renewal whose answer was lost has changed the resourceVersion.
	stored, err := l.client.Get(ctx, l.cfg.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	record := resourcelock.LeaseSpecToLeaderElectionRecord(&stored.Spec)
	if !l.owns(record) {
		return nil
	}
	record.HolderIdentity, record.LeaseDurationSeconds = "", 1
	stored.Spec = specOf(*record)
	_, err = l.client.Update(ctx, stored, metav1.UpdateOptions{})
	return err
}

// RecordEvent, Identity and Describe implement [resourcelock.Interface].
func (l *lease) RecordEvent(string) {}

// Identity returns the name of this process.
func (l *lease) Identity() string { return l.cfg.Identity }

// Describe returns the name of the Lease.
func (l *lease) Describe() string { return l.cfg.Namespace + "/" + l.cfg.Name }
