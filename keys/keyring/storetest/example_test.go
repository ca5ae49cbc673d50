package storetest_test

import (
	"context"
	"fmt"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/keyring"
	"github.com/kubesa/serviceaccount/keys/keyring/storetest"
)

// The answer to the first write is lost: the key may be there or not, and a second call
// finds it.
func ExampleNewFaulty() {
	writes := 0
	store := storetest.NewFaulty(&keyring.Memory{}, func(call string) storetest.Fault {
		if call == "Swap" {
			writes++
		}
		if call == "Swap" && writes == 1 {
			return storetest.LostAnswer
		}
		return storetest.None
	})
	ctx := context.Background()
	ring, err := keyring.OpenStore(ctx, store, keyring.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = ring.EnsureSigning(ctx, keys.ES256)
	fmt.Println(err)
	_, err = ring.EnsureSigning(ctx, keys.ES256)
	fmt.Println(err, len(ring.Keys()), writes)

	// Output:
	// keyring: changing ring: storetest: the store failed
	// <nil> 1 1
}
