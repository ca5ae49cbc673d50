package clustertest

import (
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func aboutRaces() []Promise {
	return []Promise{
		promise("of concurrent creates of one name, one wins", racingCreates),            // C14
		promise("of concurrent updates of one resourceVersion, one wins", racingUpdates), // C14
		promise("of concurrent deletes of one object, one wins", racingDeletes),          // C14
		promise("concurrent patches of different keys all arrive", racingPatches),
		promise("concurrent creates with one generateName get different names", racingNames), // CST-19
	}
}

const racers = 8

// race runs do in several goroutines at once and returns their errors.
func race(do func(i int) error) []error {
	errs := make([]error, racers)
	var group sync.WaitGroup
	start := make(chan struct{})
	for i := range errs {
		group.Go(func() {
			<-start
			errs[i] = do(i)
		})
	}
	close(start)
	group.Wait()
	return errs
}

// oneWins fails unless one of errs is nil and lost says yes to the others. It
// returns the index of the winner.
func (r *room) oneWins(what string, errs []error, lost func(error) bool) int {
	winner, winners := 0, 0
	for i, err := range errs {
		switch {
		case err == nil:
			winner = i
			winners++
		case !lost(err):
			r.failf("%s: %w", what, err)
		}
	}
	if winners != 1 {
		r.failf("%s: %d of %d won, want 1", what, winners, len(errs))
	}
	return winner
}

func racingCreates(r *room) {
	won := make([]*corev1.Secret, racers)
	winner := r.oneWins("creates of one name", race(func(i int) (err error) {
		secret := r.secret("s")
		secret.Labels = map[string]string{"racer": fmt.Sprint(i)}
		won[i], err = r.cluster.CreateSecret(r.ctx, secret)
		return err
	}), apierrors.IsAlreadyExists)
	if got := get(r, Cluster.GetSecret, "s"); got.Labels["racer"] != fmt.Sprint(winner) || got.UID != won[winner].UID {
		r.failf("the create of racer %d won, and racer %q's is there", winner, got.Labels["racer"])
	}
}

func racingUpdates(r *room) {
	account := create(r, Cluster.CreateServiceAccount, r.account("builder"))
	winner := r.oneWins("updates of one resourceVersion", race(func(i int) error {
		changed := account.DeepCopy()
		changed.Secrets = []corev1.ObjectReference{{Name: fmt.Sprint("racer-", i)}}
		_, err := r.cluster.UpdateServiceAccount(r.ctx, changed)
		return err
	}), apierrors.IsConflict)
	if got := get(r, Cluster.GetServiceAccount, "builder").Secrets; len(got) != 1 || got[0].Name != fmt.Sprint("racer-", winner) {
		r.failf("the update of racer %d won, and the account has %v", winner, got)
	}
}

func racingDeletes(r *room) {
	secret := create(r, Cluster.CreateSecret, r.secret("s"))
	r.oneWins("deletes of one object", race(func(int) error {
		return r.cluster.DeleteSecret(r.ctx, r.namespace, "s", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &secret.UID}})
	}), func(err error) bool { return apierrors.IsNotFound(err) || apierrors.IsConflict(err) })
}

func racingPatches(r *room) {
	create(r, Cluster.CreateSecret, r.secret("s"))
	for _, err := range race(func(i int) error {
		patch := fmt.Sprintf(`{"metadata":{"labels":{"racer-%d":"arrived"}}}`, i)
		_, err := r.cluster.PatchSecret(r.ctx, r.namespace, "s", types.MergePatchType, []byte(patch))
		return err
	}) {
		r.done("one of concurrent patches", err)
	}
	if got := get(r, Cluster.GetSecret, "s").Labels; len(got) != racers {
		r.failf("%d of %d concurrent patches arrived", len(got), racers)
	}
}

func racingNames(r *room) {
	for _, err := range race(func(int) error {
		secret := r.secret("")
		secret.GenerateName = "racer-"
		_, err := r.cluster.CreateSecret(r.ctx, secret)
		return err
	}) {
		r.done("one of concurrent creates with one generateName", err)
	}
	list, err := r.cluster.ListSecrets(r.ctx, r.namespace)
	if all := names(r, "list of Secrets", list, err); len(all) != racers {
		r.failf("%d concurrent creates gave the Secrets %q", racers, all)
	}
}
