package apiserver_test

import (
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	genericadmission "k8s.io/apiserver/pkg/admission"
	genericinitializer "k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/client-go/informers"
	clientfake "k8s.io/client-go/kubernetes/fake"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/apiserver"
	"github.com/kubesa/serviceaccount/apiserver/lookup"
	"github.com/kubesa/serviceaccount/fake"
)

// What Kubernetes' integration tests check of pods, through the server: SRV-29, SRV-30.
func TestPods(t *testing.T) {
	s, account := newShop(t, nil)
	account.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "registry"}}
	must(s.admin.CoreV1().ServiceAccounts("shop").Update(t.Context(), account, metav1.UpdateOptions{}))(t)
	pod := must(s.admin.CoreV1().Pods("shop").Create(t.Context(), podOf("web", ""), metav1.CreateOptions{}))(t)
	if len(pod.Spec.Volumes) != 1 || pod.Spec.Volumes[0].Projected == nil || len(pod.Spec.ImagePullSecrets) != 1 ||
		len(pod.Spec.Containers[0].VolumeMounts) != 1 || pod.Spec.Containers[0].VolumeMounts[0].MountPath != admission.DefaultMountPath {
		t.Errorf("got %+v", pod.Spec)
	}
	ghost := podOf("ghost", "")
	ghost.Name = "other"
	_, err := s.admin.CoreV1().Pods("shop").Create(t.Context(), ghost, metav1.CreateOptions{})
	if want := `pods "other" is forbidden: error looking up service account shop/ghost: `; !apierrors.IsForbidden(err) || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	// A dry run is admitted the same and leaves nothing.
	dry := podOf("web", "")
	dry.Name = "dry"
	got := must(s.admin.CoreV1().Pods("shop").Create(t.Context(), dry, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}))(t)
	if len(got.Spec.Volumes) != 1 {
		t.Errorf("got %+v", got.Spec)
	}
}

// An internalPod is what a server with internal types has.
type internalPod struct {
	corev1.Pod
	Extra string
}

func (p *internalPod) DeepCopyObject() runtime.Object {
	return &internalPod{*p.Pod.DeepCopy(), p.Extra}
}

// internalTypes are the ObjectInterfaces of such a server.
func internalTypes(t *testing.T) genericadmission.ObjectInterfaces {
	t.Helper()
	scheme := runtime.NewScheme()
	check(t, scheme.AddConversionFunc((*internalPod)(nil), (*corev1.Pod)(nil), func(a, b any, _ conversion.Scope) error {
		a.(*internalPod).Pod.DeepCopyInto(b.(*corev1.Pod))
		return nil
	}))
	check(t, scheme.AddConversionFunc((*corev1.Pod)(nil), (*internalPod)(nil), func(a, b any, _ conversion.Scope) error {
		a.(*corev1.Pod).DeepCopyInto(&b.(*internalPod).Pod)
		return nil
	}))
	return genericadmission.NewObjectInterfacesFromScheme(scheme)
}

func attributes(object runtime.Object, resource, subresource string, operation genericadmission.Operation) genericadmission.Attributes {
	return genericadmission.NewAttributesRecord(object, nil, corev1.SchemeGroupVersion.WithKind("Pod"), "shop", "pod",
		corev1.SchemeGroupVersion.WithResource(resource), subresource, operation, &metav1.CreateOptions{}, false, nil)
}

func TestAdmissionPlugin(t *testing.T) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}
	p := must(apiserver.NewAdmissionPlugin(admission.Config{ServiceAccounts: fake.New(account), DisableWait: true}))(t)
	types := internalTypes(t)
	volumes := func(o runtime.Object) int {
		switch pod := o.(type) {
		case *corev1.Pod:
			if pod != nil {
				return len(pod.Spec.Volumes)
			}
		case *internalPod:
			if pod != nil {
				return len(pod.Spec.Volumes)
			}
		}
		return 0
	}
	for _, tt := range []struct {
		name                  string
		object                runtime.Object
		resource, subresource string
		operation             genericadmission.Operation
		types                 genericadmission.ObjectInterfaces
		wantVolumes           int
		wantAdmit, wantCheck  string // parts of errors
	}{
		{name: "v1", object: podOf("web", ""), wantVolumes: 1},
		{name: "internal", object: &internalPod{Pod: *podOf("web", "")}, types: types, wantVolumes: 1},
		{name: "no account", object: podOf("ghost", ""), wantAdmit: "ghost", wantCheck: "ghost"},
		{name: "no account, internal", object: &internalPod{Pod: *podOf("ghost", "")}, types: types, wantAdmit: "ghost", wantCheck: "ghost"},
		{name: "not a pod", object: &corev1.Secret{}, types: types, wantAdmit: "a *v1.Secret is not a Pod", wantCheck: "a *v1.Secret is not a Pod"},
		{name: "nothing to convert with", object: &internalPod{}, wantAdmit: "is not a Pod", wantCheck: "is not a Pod"},
		{name: "nil", types: types, wantAdmit: "a <nil> is not a Pod", wantCheck: "a <nil> is not a Pod"},
		{name: "a nil pod", object: (*corev1.Pod)(nil), types: types, wantAdmit: "is not a Pod", wantCheck: "is not a Pod"},
		{name: "a nil internal pod", object: (*internalPod)(nil), types: types, wantAdmit: "is not a Pod", wantCheck: "is not a Pod"},
		{name: "another resource", object: &corev1.Secret{}, resource: "secrets"},
		{name: "binding", object: &corev1.Binding{}, subresource: "binding"},
		{name: "update", object: podOf("ghost", ""), operation: genericadmission.Update},
		{name: "ephemeral containers", object: podOf("ghost", ""), subresource: "ephemeralcontainers", operation: genericadmission.Update, wantCheck: "ghost"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.resource == "" {
				tt.resource = "pods"
			}
			if tt.operation == "" {
				tt.operation = genericadmission.Create
			}
			a := attributes(tt.object, tt.resource, tt.subresource, tt.operation)
			before := copyOf(tt.object)
			checkError(t, "Admit", p.Admit(t.Context(), a, tt.types), tt.wantAdmit)
			if got := volumes(tt.object); tt.wantVolumes != got {
				t.Errorf("%d volumes, want %d", got, tt.wantVolumes)
			}
			if tt.wantVolumes == 0 && !cmp.Equal(before, tt.object) {
				t.Error("changed")
			}
			before = copyOf(tt.object)
			checkError(t, "Validate", p.Validate(t.Context(), a, tt.types), tt.wantCheck)
			if !cmp.Equal(before, tt.object) {
				t.Error("Validate changed the object")
			}
		})
	}
	if !p.Handles(genericadmission.Create) || !p.Handles(genericadmission.Update) || p.Handles(genericadmission.Delete) || p.Handles(genericadmission.Connect) {
		t.Error("handles other operations than create and update")
	}
}

// copyOf returns a copy of object, which may be nil.
func copyOf(object runtime.Object) runtime.Object {
	if v := reflect.ValueOf(object); !v.IsValid() || v.IsNil() {
		return object
	}
	return object.DeepCopyObject()
}

func checkError(t *testing.T, call string, err error, want string) {
	t.Helper()
	if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("%s() = %v, want %q", call, err, want)
	}
	var status apierrors.APIStatus
	if err != nil && (!errors.As(err, &status) || status.Status().Code < http.StatusBadRequest) {
		t.Errorf("%s() = %v, which isn't a status", call, err)
	}
}

// registered returns the plugin that a server with file as its configuration has.
func registered(t *testing.T, file string, initializers ...genericadmission.PluginInitializer) (genericadmission.Interface, error) {
	t.Helper()
	plugins := genericadmission.NewPlugins()
	apiserver.RegisterAdmission(plugins)
	return plugins.InitPlugin(apiserver.AdmissionPluginName, strings.NewReader(file), initializerChain(initializers))
}

type initializerChain []genericadmission.PluginInitializer

func (c initializerChain) Initialize(plugin genericadmission.Interface) {
	for _, i := range c {
		i.Initialize(plugin)
	}
}

// The plugin works with what servers give to their plugins, and waits for the informers.
func TestAdmissionFromInformers(t *testing.T) {
	client := clientfake.NewClientset(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}})
	factory := informers.NewSharedInformerFactory(client, 0)
	plugin := must(registered(t, "", genericinitializer.New(client, nil, factory, nil, nil, nil, nil, nil)))(t)
	p := plugin.(genericadmission.MutationInterface)
	synced := make(chan struct{})
	go func() {
		defer close(synced)
		time.Sleep(50 * time.Millisecond)
		factory.Start(t.Context().Done())
	}()
	pod := podOf("web", "")
	check(t, p.Admit(t.Context(), attributes(pod, "pods", "", genericadmission.Create), nil)) // waits
	<-synced
	if len(pod.Spec.Volumes) != 1 {
		t.Errorf("got %+v", pod.Spec)
	}
	// What the cache doesn't have yet is read live.
	live := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "new"}}
	must(client.CoreV1().ServiceAccounts("shop").Create(t.Context(), live, metav1.CreateOptions{}))(t)
	check(t, p.Admit(t.Context(), attributes(podOf("new", ""), "pods", "", genericadmission.Create), nil))

	if _, err := registered(t, ""); err == nil {
		t.Error("a plugin without any getter was initialized")
	}
	if _, err := registered(t, "", genericinitializer.New(nil, nil, factory, nil, nil, nil, nil, nil)); err == nil {
		t.Error("a plugin without a client was initialized")
	}
}

type getterInitializer lookup.Getters

func (g getterInitializer) Initialize(plugin genericadmission.Interface) {
	plugin.(apiserver.WantsGetters).SetGetters(lookup.Getters{}, lookup.Getters(g))
}

// What only admission.New finds is found when the server starts, all at once.
func TestConfigurationMistakes(t *testing.T) {
	const head = "apiVersion: serviceaccount.kubesa.io/v1alpha1\nkind: ServiceAccountConfiguration\n"
	const furtherVolume = head + "furtherVolumes:\n- name: aws-iam-token\n  audience: sts.amazonaws.com\n  mountPath: /run/aws\n"
	getters := getterInitializer{ServiceAccounts: fake.New()}
	for _, tt := range []struct{ name, file, wantErr string }{
		{name: "good", file: furtherVolume},
		{name: "path", file: head + "mountPath: /run/token\n"},
		{name: "bad path", file: head + "mountPath: relative\n", wantErr: "admission: Config.MountPath"},
		{name: "signer", file: head + "rootCASigner: example.org/signer\n"},
		{name: "bad signer", file: head + "rootCASigner: signer\n", wantErr: `admission: Config.RootCASigner is "signer"`},
		{name: "signer and ConfigMap", file: head + "rootCASigner: example.org/signer\nrootCAConfigMap: ca\n", wantErr: "which RootCAConfigMap or SecretBacked contradicts"},
		{name: "no audience", file: strings.Replace(furtherVolume, "audience: sts.amazonaws.com", `audience: ""`, 1), wantErr: "admission: Config.FurtherVolumes[0].Audience is empty"},
		{name: "a Secret", file: furtherVolume + "  sources: [{secret: {name: x}}]\n", wantErr: "admission: Config.FurtherVolumes[0].Sources[0] has a secret of its own"},
		{name: "short", file: furtherVolume + "  lifetime: 1m\n  mode: 01777\n", wantErr: "admission: Config.FurtherVolumes[0].Lifetime is 1m0s"},
		{name: "and mode", file: furtherVolume + "  lifetime: 1m\n  mode: 01777\n", wantErr: "admission: Config.FurtherVolumes[0].Mode is 01777"},
		{name: "negative", file: head + "waitTimeout: -1s\n", wantErr: "admission: Config.WaitTimeout"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := registered(t, tt.file, getters)
			if (err == nil) != (tt.wantErr == "") || err != nil && !strings.Contains(err.Error(), tt.wantErr) {
				t.Errorf("got %v, want %q", err, tt.wantErr)
			}
		})
	}
}
