package keyring_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/internal/keystest"
	"github.com/kubesa/serviceaccount/keys/keyring"
)

// exampleRing returns a ring with one key that signs, on a clock that the
// examples set.
func exampleRing(now *time.Time) (ring *keyring.Ring, id string) {
	*now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	ring, err := keyring.New(keyring.Config{
		MaxAge:           time.Hour,
		MaxTokenLifetime: 24 * time.Hour,
		Now:              func() time.Time { return *now },
	})
	if err != nil {
		panic(err)
	}
	id, err = ring.Add(context.Background(), keystest.NewKey())
	if err == nil {
		err = ring.Promote(context.Background(), id)
	}
	if err != nil {
		panic(err)
	}
	return ring, id
}

// A new issuer: the first key may sign at once.
func ExampleNew() {
	ctx := context.Background()
	ring, err := keyring.New(keyring.Config{MaxTokenLifetime: 24 * time.Hour})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = ring.Sign(ctx, []byte(`{"sub":"system:serviceaccount:default:default"}`))
	fmt.Println(err)

	id, err := ring.Add(ctx, keystest.NewKey())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(ring.Promote(ctx, id))
	_, err = ring.Sign(ctx, []byte(`{"sub":"system:serviceaccount:default:default"}`))
	fmt.Println(err)

	// Output:
	// keys: there is no signing key
	// <nil>
	// <nil>
}

// Step one of a rotation: verifiers learn of a key, which doesn't sign yet.
func ExampleRing_Add() {
	var now time.Time
	ring, old := exampleRing(&now)
	id, err := ring.Add(context.Background(), keystest.NewKey())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, key := range ring.Keys() {
		fmt.Println(key.ID == old, key.ID == id, key.State())
	}

	// Output:
	// true false Signing
	// false true Published
}

// Step two: the key signs, once every verifier has had the time to learn of it.
func ExampleRing_Promote() {
	var now time.Time
	ring, _ := exampleRing(&now)
	id, err := ring.Add(context.Background(), keystest.NewKey())
	if err != nil {
		fmt.Println(err)
		return
	}
	err = ring.Promote(context.Background(), id)
	if e, ok := errors.AsType[*keyring.StepError](err); ok {
		fmt.Println(e.Reason, "until", e.Earliest.Format(time.TimeOnly))
		now = e.Earliest
	}
	fmt.Println(ring.Promote(context.Background(), id))

	// Output:
	// TooEarly until 13:02:00
	// <nil>
}

// Step three: the old key goes, once the last token that it signed has expired.
func ExampleRing_Retire() {
	var now time.Time
	ring, old := exampleRing(&now)
	id, err := ring.Add(context.Background(), keystest.NewKey())
	if err != nil {
		fmt.Println(err)
		return
	}
	now = now.Add(2 * time.Hour)
	if err := ring.Promote(context.Background(), id); err != nil {
		fmt.Println(err)
		return
	}
	err = ring.Retire(context.Background(), old)
	if e, ok := errors.AsType[*keyring.StepError](err); ok {
		fmt.Println(e.Reason, "until", e.Earliest.Format(time.DateTime))
		now = e.Earliest
	}
	fmt.Println(ring.Retire(context.Background(), old), len(ring.Keys()))

	// Output:
	// TooEarly until 2026-01-02 14:02:00
	// <nil> 1
}

// In an emergency a key goes at once. Have one published in advance.
func ExampleRing_Revoke() {
	var now time.Time
	ring, stolen := exampleRing(&now)
	fmt.Println(ring.Revoke(context.Background(), stolen) != nil) // nobody to take over
	if _, err := ring.Add(context.Background(), keystest.NewKey()); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(ring.Revoke(context.Background(), stolen))
	for _, key := range ring.Keys() {
		fmt.Println(key.State())
	}

	// Output:
	// true
	// <nil>
	// Signing
}

// A loop that takes each step as soon as it is safe.
func ExampleRing_Plan() {
	var now time.Time
	ctx := context.Background()
	ring, _ := exampleRing(&now)
	if _, err := ring.Add(ctx, keystest.NewKey()); err != nil {
		fmt.Println(err)
		return
	}
	for {
		safe, later := ring.Plan(now)
		for _, step := range safe {
			fmt.Println(now.Format(time.DateTime), step.Action, ring.Take(ctx, step))
		}
		if len(safe) == 0 {
			if len(later) == 0 {
				return
			}
			now = later[0].Earliest // or wait until then
		}
	}

	// Output:
	// 2026-01-01 13:02:00 Promote <nil>
	// 2026-01-02 13:04:00 Retire <nil>
}

// A ring in a folder, shared by the replicas of a control plane.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "ring")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	one, err := keyring.Open(context.Background(), dir, keyring.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	id, err := one.Add(ctx, keystest.NewKey())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(one.Promote(ctx, id))

	another, err := keyring.Open(context.Background(), dir, keyring.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(keys.SelfTest(ctx, another, one))

	// Output:
	// <nil>
	// <nil>
}

// A test of two replicas, without files.
func ExampleOpenStore() {
	ctx := context.Background()
	var memory keyring.Memory
	now := time.Now()
	var replicas []*keyring.Ring
	for range 2 {
		ring, err := keyring.OpenStore(ctx, &memory, keyring.Config{Now: func() time.Time { return now }})
		if err != nil {
			fmt.Println(err)
			return
		}
		replicas = append(replicas, ring)
	}
	id, err := replicas[0].EnsureSigning(ctx, keys.ES256)
	if err != nil {
		fmt.Println(err)
		return
	}
	now = now.Add(time.Second) // Config.ReloadEvery
	again, err := replicas[1].EnsureSigning(ctx, keys.ES256)
	fmt.Println(again == id, err)
	fmt.Println(keys.SelfTest(ctx, replicas[1], replicas[0]))

	// Output:
	// true <nil>
	// <nil>
}
