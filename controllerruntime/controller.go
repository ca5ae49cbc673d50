package saruntime

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/go-logr/logr"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/legacytoken"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
)

// ControllerOptions are controller-runtime's own options for a controller.
type ControllerOptions = controller.TypedOptions[sacontroller.Key]

// Options say how [Runtime.Add] runs a controller.
type Options struct {
	// Watch has an object of each kind whose changes the controller needs, for Due
	// or for its Reader. It may be empty for the controllers of package sacontroller.
	// Without a [Config.Cache] these are Namespaces, Nodes, ServiceAccounts, Secrets,
	// Pods, ConfigMaps and ClusterTrustBundles, as far as the cache has them.
	Watch []client.Object

	// Controller has the number of workers, and what else controller-runtime lets
	// choose, with its defaults. Reconciler must be nil.
	Controller ControllerOptions
}

// Add makes the manager run c: with its name, watches for what it needs, metrics and
// logs as controller-runtime has them, on the leader only, and after every object was
// seen. It can be called before and after the manager was started. In its queue
// namespaces take turns; one of Options.Controller replaces it.
//
// It returns an error naming every invalid field of opts, each as a [*ConfigError], also
// if c is nil, or controller-runtime's error, as for a second controller of the same name.
func (r *Runtime) Add(c sacontroller.Controller, opts Options) error {
	mistakes := configerror.List{Config: "saruntime.Options"}
	mistakes.Require("c", c, "a sacontroller.Controller")
	if err := mistakes.Err(); err != nil {
		return err
	}
	if len(opts.Watch) == 0 {
		opts.Watch = watchedBy(c)
	}
	if len(opts.Watch) == 0 {
		mistakes.Add("Watch", "is empty, want the kinds that %s, a %T, needs", c.Name(), c)
	}
	for i, kind := range opts.Watch {
		field := fmt.Sprintf("Watch[%d]", i)
		mistakes.Require(field, kind, "an object")
		if _, _, err := r.scheme.ObjectKinds(kind); err != nil {
			mistakes.Add(field, "is a %T, which the cache has no kind for, want one of its scheme", kind)
		}
	}
	if opts.Controller.Reconciler != nil {
		mistakes.Add("Controller.Reconciler", "is set, want nil: the controller is the reconciler")
	}
	configerror.NotNegative(&mistakes, "Controller.MaxConcurrentReconciles", opts.Controller.MaxConcurrentReconciles)
	if err := mistakes.Err(); err != nil {
		return err
	}
	return r.add(c, slices.Clone(opts.Watch), opts.Controller)
}

func (r *Runtime) add(c sacontroller.Controller, kinds []client.Object, opts ControllerOptions) error {
	opts.LogConstructor = logsOf(c.Name(), opts, r.manager.GetLogger())
	opts.Reconciler = reconciler{c}
	if workers := fairWorkers(opts, r.manager.GetControllerOptions()); workers > 0 {
		opts.NewQueue = newFairQueue(workers)
	}
	ctl, err := controller.NewTyped(c.Name(), r.manager, opts)
	if err != nil {
		return fmt.Errorf("saruntime: %w", err)
	}
	again := &lookAgain{runtime: r, controller: c, kinds: kinds, listed: make(chan struct{}, 1)}
	for _, kind := range kinds {
		if r.lists != nil {
			// Filled before there is a lease to lead by.
			if _, err := r.cache.GetInformer(context.Background(), kind, cache.BlockUntilSynced(false)); err != nil {
				return fmt.Errorf("saruntime: watching %T: %w", kind, err)
			}
			r.lists.notify(kind, again.listed)
		}
		if err := ctl.Watch(source.TypedKind(r.cache, kind, changes(c))); err != nil {
			return fmt.Errorf("saruntime: watching %T: %w", kind, err)
		}
	}
	if err := ctl.Watch(again); err != nil {
		return fmt.Errorf("saruntime: %w", err)
	}
	return nil
}

// watchedBy returns what a controller of package sacontroller watches, or nil for
// another one.
func watchedBy(c sacontroller.Controller) []client.Object {
	switch c.(type) {
	case *sacontroller.ServiceAccounts:
		return []client.Object{&corev1.Namespace{}, &corev1.ServiceAccount{}}
	case *sacontroller.Tokens:
		return []client.Object{&corev1.Namespace{}, &corev1.ServiceAccount{}, &corev1.Secret{}}
	case *legacytoken.Cleaner:
		return []client.Object{&corev1.Namespace{}, &corev1.ServiceAccount{}, &corev1.Secret{}, &corev1.Pod{}, &corev1.ConfigMap{}}
	case *legacytoken.Tracker, *rootca.ConfigMaps:
		return []client.Object{&corev1.Namespace{}, &corev1.ConfigMap{}}
	case *rootca.TrustBundles:
		return []client.Object{&corev1.Namespace{}, &certificatesv1.ClusterTrustBundle{}}
	}
	return nil
}

// fairWorkers returns for how many workers the controller has a fair queue; 0 if opts or
// those of the manager have chosen another queue.
func fairWorkers(opts ControllerOptions, global config.Controller) int {
	if opts.NewQueue != nil || opts.RateLimiter != nil || opts.UsePriorityQueue != nil || global.UsePriorityQueue != nil {
		return 0
	}
	return max(cmp.Or(opts.MaxConcurrentReconciles, global.MaxConcurrentReconciles), 1)
}

// logsOf returns the loggers of the controller called name, in the form of
// controller-runtime's, unless opts has others.
func logsOf(name string, opts ControllerOptions, base logr.Logger) func(*sacontroller.Key) logr.Logger {
	if opts.LogConstructor != nil {
		return opts.LogConstructor
	}
	if opts.Logger.GetSink() != nil {
		base = opts.Logger
	}
	base = base.WithValues("controller", name)
	return func(key *sacontroller.Key) logr.Logger {
		if key == nil {
			return base
		}
		return base.WithValues("kind", key.Kind, "namespace", key.Namespace, "name", key.Name)
	}
}

// A reconciler is a Controller as controller-runtime calls it.
type reconciler struct{ controller sacontroller.Controller }

// Reconcile implements [reconcile.TypedReconciler].
func (r reconciler) Reconcile(ctx context.Context, key sacontroller.Key) (reconcile.Result, error) {
	result, err := r.controller.Reconcile(ctx, key)
	switch {
	case sacontroller.IsTerminal(err):
		return reconcile.Result{}, reconcile.TerminalError(err)
	case err != nil:
		return reconcile.Result{}, err
	}
	if result.RequeueAfter > sacontroller.Yield {
		if why := r.lastError(key); why != nil {
			log.FromContext(ctx).Info("Put off", "after", result.RequeueAfter, "reason", why.Error())
		}
	}
	return reconcile.Result{RequeueAfter: result.RequeueAfter}, nil
}

// lastError returns why the controller put key off, if it says so.
func (r reconciler) lastError(key sacontroller.Key) error {
	c, ok := r.controller.(interface {
		LastError(sacontroller.Key) error
	})
	if !ok {
		return nil
	}
	return c.LastError(key)
}
