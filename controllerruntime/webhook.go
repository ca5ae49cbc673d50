package saruntime

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"github.com/kubesa/serviceaccount/admission"
	podwebhook "github.com/kubesa/serviceaccount/admission/webhook"
	"github.com/kubesa/serviceaccount/internal/configerror"
)

// The paths of the webhook, in the form of controller-runtime's own.
const (
	MutatePath   = "/mutate--v1-pod"
	ValidatePath = "/validate--v1-pod"
)

// WebhookOptions say how [Runtime.AddPodWebhook] serves the webhook.
type WebhookOptions struct {
	// Path is where it is served. Empty means [MutatePath], and [ValidatePath] for
	// one that only validates.
	Path string
	// Webhook is its configuration.
	Webhook podwebhook.Config
}

// Admission returns a Config that looks accounts up in the cache and, after a
// NotFound, live. Set the other fields as you like.
func (r *Runtime) Admission() admission.Config {
	return admission.Config{ServiceAccounts: r.reader, Live: r.Client(), Secrets: r.reader}
}

// AddPodWebhook serves the decisions of plugin on the manager's webhook server, with
// its address, certificates and metrics. The answer to a new pod is a JSON Patch that
// only adds. The manager gets a readiness check with the name "webhook" and the path:
// it passes when the server answers and the cache of ServiceAccounts is filled.
//
// It returns an error naming every invalid field of opts, each as a [*ConfigError], also
// if plugin is nil or there is something on that path already.
func (r *Runtime) AddPodWebhook(plugin *admission.Plugin, opts WebhookOptions) error {
	if opts.Path == "" {
		opts.Path = MutatePath
		if opts.Webhook.ValidateOnly {
			opts.Path = ValidatePath
		}
	}
	h, err := podwebhook.New(plugin, opts.Webhook)
	if err != nil {
		return err
	}
	// Filled before there are pods to decide about.
	accounts, err := r.cache.GetInformer(context.Background(), &corev1.ServiceAccount{}, cache.BlockUntilSynced(false))
	if err != nil {
		return fmt.Errorf("saruntime: watching ServiceAccounts: %w", err)
	}
	server := r.manager.GetWebhookServer()
	if err := register(server, opts.Path, h); err != nil {
		return err
	}
	started := server.StartedChecker()
	return r.manager.AddReadyzCheck("webhook"+opts.Path, func(req *http.Request) error {
		if !accounts.HasSynced() {
			return errors.New("saruntime: the cache of ServiceAccounts is not filled yet")
		}
		return started(req)
	})
}

// register registers h. controller-runtime panics if it can't.
func register(server webhook.Server, path string, h http.Handler) (err error) {
	defer func() {
		if problem := recover(); problem != nil {
			mistakes := configerror.List{Config: "saruntime.WebhookOptions"}
			mistakes.Add("Path", "is %.100q, want a path that nothing else is served on: %v", path, problem)
			err = mistakes.Err()
		}
	}()
	server.Register(path, h)
	return nil
}
