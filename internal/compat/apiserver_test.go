package compat

import (
	"context"
	"io"
	"reflect"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	upstreamadmission "k8s.io/apiserver/pkg/admission"
	core "k8s.io/kubernetes/pkg/apis/core"
	corev1conversion "k8s.io/kubernetes/pkg/apis/core/v1"

	"github.com/kubesa/serviceaccount/admission"
)

// A serverPlugin is a Plugin as an admission plugin of k8s.io/apiserver: what a
// server that is built on that library registers instead of upstream's. Its pods
// are of the internal version, so they are converted; a server whose own objects
// are v1 Pods needs only the request.
type serverPlugin struct{ plugin *admission.Plugin }

var (
	_ upstreamadmission.MutationInterface   = serverPlugin{}
	_ upstreamadmission.ValidationInterface = serverPlugin{}
)

// register makes the plugin available to the server's --enable-admission-plugins.
func register(plugins *upstreamadmission.Plugins, plugin *admission.Plugin) {
	plugins.Register("ServiceAccount", func(io.Reader) (upstreamadmission.Interface, error) { return serverPlugin{plugin}, nil })
}

func (p serverPlugin) Handles(operation upstreamadmission.Operation) bool {
	return operation == upstreamadmission.Create || operation == upstreamadmission.Update
}

func (p serverPlugin) Admit(ctx context.Context, a upstreamadmission.Attributes, _ upstreamadmission.ObjectInterfaces) error {
	return p.with(a, true, func(req admission.Request) error { return p.plugin.Admit(ctx, req) })
}

func (p serverPlugin) Validate(ctx context.Context, a upstreamadmission.Attributes, _ upstreamadmission.ObjectInterfaces) error {
	return p.with(a, false, func(req admission.Request) error { return p.plugin.Validate(ctx, req) })
}

// with calls f with the request of a, and puts what it has made of the pod back.
func (serverPlugin) with(a upstreamadmission.Attributes, mutate bool, f func(admission.Request) error) error {
	pod, ok := a.GetObject().(*core.Pod)
	if !ok || a.GetResource().GroupResource() != core.Resource("pods") {
		return nil
	}
	var external corev1.Pod
	if err := corev1conversion.Convert_core_Pod_To_v1_Pod(pod, &external, nil); err != nil {
		return apierrors.NewInternalError(err)
	}
	err := f(admission.Request{
		Operation: admissionv1.Operation(a.GetOperation()), Namespace: a.GetNamespace(), Name: a.GetName(), Subresource: a.GetSubresource(), Pod: &external,
	})
	if err != nil || !mutate {
		return err
	}
	return corev1conversion.Convert_v1_Pod_To_core_Pod(&external, pod, nil)
}

// In a server the plugin does what upstream's does: the chain is made as a server
// makes it, from the registry.
func TestServerPlugin(t *testing.T) {
	account := &corev1.ServiceAccount{}
	account.Namespace, account.Name = admissionNamespace, "default"
	account.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "registry"}}
	plugins := upstreamadmission.NewPlugins()
	register(plugins, must(admission.New(admission.Config{
		ServiceAccounts: cachedAccount{&admissionCase{cached: account}}, Live: &admissionCase{}, DisableWait: true,
	})))
	noConfig := must(upstreamadmission.ReadAdmissionConfiguration(nil, "", nil))
	chain, err := plugins.NewFromPlugins([]string{"ServiceAccount"}, noConfig, upstreamadmission.PluginInitializers{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	server := chain.(upstreamadmission.MutationInterface)
	u := newUpstreamAdmission()
	for _, name := range []string{"", "ghost"} {
		c := &admissionCase{operation: admissionv1.Create, name: "web", pod: benchmarkPod(2), cached: account}
		c.pod.Spec.ServiceAccountName = name
		want, wantErr := u.review(c)

		pod := c.pod.DeepCopy()
		defaultAccountName(pod)
		var internal core.Pod
		if err := corev1conversion.Convert_v1_Pod_To_core_Pod(pod, &internal, nil); err != nil {
			t.Fatal(err)
		}
		a := upstreamadmission.NewAttributesRecord(&internal, nil, core.Kind("Pod").WithVersion("v1"), admissionNamespace, "web",
			core.Resource("pods").WithVersion("v1"), "", upstreamadmission.Create, nil, false, nil)
		err := server.Admit(t.Context(), a, nil)
		if err == nil {
			err = server.(upstreamadmission.ValidationInterface).Validate(t.Context(), a, nil)
		}
		if (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
			t.Fatalf("account %q: got %v, upstream %v", name, err, wantErr)
		}
		if err != nil {
			continue
		}
		var got corev1.Pod
		if err := corev1conversion.Convert_core_Pod_To_v1_Pod(&internal, &got, nil); err != nil {
			t.Fatal(err)
		}
		sameVolumeName(c.pod, &got)
		sameVolumeName(c.pod, want)
		if !reflect.DeepEqual(&got, want) {
			t.Errorf("got %v\nupstream %v", got, want)
		}
	}
}
