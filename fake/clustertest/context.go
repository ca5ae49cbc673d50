package clustertest

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func aboutContexts() []Promise {
	return []Promise{
		promise("a call whose context was cancelled returns context.Canceled and writes nothing", func(r *room) {
			ctx, cancel := context.WithCancel(r.ctx)
			cancel()
			callsEnd(r, ctx, context.Canceled)
		}),
		promise("a call whose deadline has passed returns context.DeadlineExceeded and writes nothing", func(r *room) {
			ctx, cancel := context.WithDeadline(r.ctx, time.Unix(0, 0))
			defer cancel()
			callsEnd(r, ctx, context.DeadlineExceeded)
		}),
	}
}

// callsEnd fails unless every call with ctx, which is done, returns want and
// leaves everything as it was.
func callsEnd(r *room, ctx context.Context, want error) {
	done := func(what string, err error) {
		if !errors.Is(err, want) && !errors.Is(err, errors.ErrUnsupported) {
			r.failf("%s: got %v, want an error that wraps %v", what, err, want)
		}
	}
	r.each(func(k kind) {
		there := k.make(r, nil)
		fresh := k.new()
		fresh.SetNamespace(there.GetNamespace())
		fresh.SetName(there.GetName() + "-new")
		_, err := k.get(r.cluster, ctx, there.GetNamespace(), there.GetName())
		done("get of a "+k.name, err)
		_, err = k.create(r.cluster, ctx, fresh)
		done("create of a "+k.name, err)
		done("delete of a "+k.name, k.delete(r.cluster, ctx, there.GetNamespace(), there.GetName(), metav1.DeleteOptions{}))
		if k.update != nil {
			_, err = k.update(r.cluster, ctx, labelled(there, "late"))
			done("update of a "+k.name, err)
		}
		k.absent(r, fresh)
		k.unchanged(r, "a call whose context was done", there)
	})
	secret := create(r, Cluster.CreateSecret, r.secret("s"))
	_, err := r.cluster.PatchSecret(ctx, r.namespace, "s", types.MergePatchType, []byte(`{"data":null}`))
	done("patch of a Secret", err)
	if got := get(r, Cluster.GetSecret, "s"); !equality.Semantic.DeepEqual(got, secret) {
		r.failf("a patch whose context was done changed the Secret")
	}
	_, err = r.cluster.ListSecrets(ctx, r.namespace)
	done("list of Secrets", err)
	_, err = r.cluster.TokenSecrets(ctx, r.namespace, "builder")
	done("token Secrets", err)
	_, err = r.cluster.ListPods(ctx, r.namespace)
	done("list of Pods", err)
	_, err = r.cluster.ListNamespaces(ctx)
	done("list of Namespaces", err)
}
