package apiserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	genericadmission "k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"

	"github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/apiserver/admissionconfig"
	"github.com/kubesa/serviceaccount/apiserver/lookup"
)

// AdmissionPluginName is the name of the admission plugin for ServiceAccounts, as in
// Kubernetes.
const AdmissionPluginName = "ServiceAccount"

// RegisterAdmission registers the admission plugin for ServiceAccounts in place of
// Kubernetes'. Its configuration file, if there is one, is an
// [admissionconfig.ServiceAccountConfiguration]. It reads objects where a
// [Parts.Initializer] says, or else from the informers and the client that servers give
// to their plugins.
func RegisterAdmission(plugins *genericadmission.Plugins) {
	plugins.Register(AdmissionPluginName, func(file io.Reader) (genericadmission.Interface, error) {
		cfg, err := admissionconfig.Parse(file)
		if err != nil {
			return nil, err
		}
		return newAdmissionPlugin(cfg), nil
	})
}

// WantsGetters is implemented by admission plugins that look up objects of
// ServiceAccounts, such as that of [RegisterAdmission]. cached may be stale.
type WantsGetters interface {
	SetGetters(cached, live lookup.Getters)
	genericadmission.InitializationValidator
}

// An AdmissionPlugin is an [admission.Plugin] as an admission plugin of
// k8s.io/apiserver. It is safe for concurrent use.
type AdmissionPlugin struct {
	*genericadmission.Handler
	cfg    admission.Config
	plugin *admission.Plugin // nil until it is initialized
}

var (
	_ genericadmission.MutationInterface           = (*AdmissionPlugin)(nil)
	_ genericadmission.ValidationInterface         = (*AdmissionPlugin)(nil)
	_ initializer.WantsExternalKubeClientSet       = (*AdmissionPlugin)(nil)
	_ initializer.WantsExternalKubeInformerFactory = (*AdmissionPlugin)(nil)
	_ WantsGetters                                 = (*AdmissionPlugin)(nil)
)

// NewAdmissionPlugin returns an AdmissionPlugin that needs no initialization, or the
// errors of [admission.New].
func NewAdmissionPlugin(cfg admission.Config) (*AdmissionPlugin, error) {
	p := newAdmissionPlugin(cfg)
	return p, p.ValidateInitialization()
}

func newAdmissionPlugin(cfg admission.Config) *AdmissionPlugin {
	return &AdmissionPlugin{Handler: genericadmission.NewHandler(genericadmission.Create, genericadmission.Update), cfg: cfg}
}

// SetGetters implements [WantsGetters].
func (p *AdmissionPlugin) SetGetters(cached, live lookup.Getters) {
	p.cfg.ServiceAccounts, p.cfg.Live = live.ServiceAccounts, nil
	if cached.ServiceAccounts != nil {
		p.cfg.ServiceAccounts, p.cfg.Live = cached.ServiceAccounts, live.ServiceAccounts
	}
	p.cfg.Secrets = cached.Or(live).Secrets
}

// SetExternalKubeClientSet reads accounts live from client, unless there are Getters.
func (p *AdmissionPlugin) SetExternalKubeClientSet(client kubernetes.Interface) {
	if client != nil && p.cfg.Live == nil && !p.hasGetters() {
		p.cfg.Live = serviceaccount.FromCoreV1(client.CoreV1())
	}
}

// hasGetters reports whether accounts are read from somewhere else than the informers.
func (p *AdmissionPlugin) hasGetters() bool {
	_, informer := p.cfg.ServiceAccounts.(interface{ ReadsInformers() })
	return p.cfg.ServiceAccounts != nil && !informer
}

// SetExternalKubeInformerFactory reads accounts, and Secrets if they are needed, from
// the informers of factory, unless there are Getters.
func (p *AdmissionPlugin) SetExternalKubeInformerFactory(factory informers.SharedInformerFactory) {
	if factory == nil || p.hasGetters() {
		return
	}
	core := factory.Core().V1()
	listers := lookup.Listers{ServiceAccounts: core.ServiceAccounts().Lister()}
	synced := core.ServiceAccounts().Informer().HasSynced
	if p.cfg.TokenVolume == admission.SecretBacked {
		listers.Secrets = core.Secrets().Lister()
		accounts, secrets := synced, core.Secrets().Informer().HasSynced
		synced = func() bool { return accounts() && secrets() }
	}
	getters := lookup.FromListers(listers)
	p.cfg.ServiceAccounts, p.cfg.Secrets = getters.ServiceAccounts, getters.Secrets
	p.SetReadyFunc(synced)
}

// ValidateInitialization returns the errors of [admission.New]. The plugin denies every
// request until it has succeeded.
func (p *AdmissionPlugin) ValidateInitialization() error {
	plugin, err := admission.New(p.cfg)
	if err != nil {
		return err
	}
	if !p.hasGetters() && p.cfg.Live == nil {
		return fmt.Errorf("apiserver: the admission plugin %s has no client", AdmissionPluginName)
	}
	p.plugin = plugin
	return nil
}

// Admit changes a new pod, in place, as [admission.Plugin.Admit] does.
func (p *AdmissionPlugin) Admit(ctx context.Context, a genericadmission.Attributes, o genericadmission.ObjectInterfaces) error {
	pod, err := p.pod(a, o)
	if pod == nil || a.GetOperation() != genericadmission.Create {
		return err
	}
	if err := p.plugin.Admit(ctx, requestOf(a, pod)); err != nil {
		return err
	}
	if _, ok := a.GetObject().(*corev1.Pod); ok {
		return nil
	}
	if err := o.GetObjectConvertor().Convert(pod, a.GetObject(), nil); err != nil {
		return misfit(a, err)
	}
	return nil
}

// Validate checks a pod as [admission.Plugin.Validate] does.
func (p *AdmissionPlugin) Validate(ctx context.Context, a genericadmission.Attributes, o genericadmission.ObjectInterfaces) error {
	pod, err := p.pod(a, o)
	if pod == nil {
		return err
	}
	request := requestOf(a, pod)
	request.ValidateOnly = true
	decision, err := p.plugin.Decide(ctx, request)
	if err != nil {
		return err
	}
	for _, text := range decision.Warnings {
		warning.AddWarning(ctx, "", text)
	}
	return nil
}

func requestOf(a genericadmission.Attributes, pod *corev1.Pod) admission.Request {
	return admission.Request{
		Operation: admissionv1.Operation(a.GetOperation()), Namespace: a.GetNamespace(), Name: a.GetName(), Subresource: a.GetSubresource(), Pod: pod,
	}
}

// pod returns the pod that a is about, nil if the request is ignored or there is an
// error. An object that should be a pod and isn't is denied: nothing has checked it
// (SRV-29).
func (p *AdmissionPlugin) pod(a genericadmission.Attributes, o genericadmission.ObjectInterfaces) (*corev1.Pod, error) {
	request := requestOf(a, nil)
	if a.GetResource().GroupResource() != corev1.Resource("pods") || request.Ignored() {
		return nil, nil
	}
	if p.plugin == nil || !p.WaitForReady() { // SRV-30
		return nil, genericadmission.NewForbidden(a, fmt.Errorf("not yet ready to handle request"))
	}
	object := a.GetObject()
	if pod, ok := object.(*corev1.Pod); ok && pod != nil {
		return pod, nil
	}
	if v := reflect.ValueOf(object); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() || o == nil || o.GetObjectConvertor() == nil {
		return nil, misfit(a, errors.New("there is none, or nothing to convert it with"))
	}
	var pod corev1.Pod
	if err := o.GetObjectConvertor().Convert(object, &pod, nil); err != nil {
		return nil, misfit(a, err)
	}
	return &pod, nil
}

func misfit(a genericadmission.Attributes, err error) error {
	return apierrors.NewInternalError(fmt.Errorf("apiserver: a %T is not a Pod: %w", a.GetObject(), err))
}
