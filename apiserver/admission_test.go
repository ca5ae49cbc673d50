package apiserver_test

import (
	"context"
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

type getterInitializer apiserver.Getters

func (g getterInitializer) Initialize(plugin genericadmission.Interface) {
	plugin.(apiserver.WantsGetters).SetGetters(apiserver.Getters{}, apiserver.Getters(g))
}

// The configuration is strict, and says what the Config says.
func TestAdmissionConfiguration(t *testing.T) {
	const head = "apiVersion: serviceaccount.kubesa.io/v1alpha1\nkind: ServiceAccountConfiguration\n"
	for _, tt := range []struct {
		name, file string
		want       admission.Config
		wantErr    string // part
	}{
		{name: "empty"},
		{name: "nothing set", file: head},
		{name: "all", file: head + "tokenVolume: SecretBacked\nallowMissingToken: true\nlimitSecretReferences: true\ndisableTokenMount: true\nstrict: true\ndefaultAccount: main\nmountPath: /run/token\nrootCAConfigMap: ca\ntokenExpirationSeconds: 900\naudience: vault\noptOutAnnotation: example.org/none\nwaitTimeout: 5s\ndisableWait: true\n",
			want: admission.Config{TokenVolume: admission.SecretBacked, AllowMissingToken: true, LimitSecretReferences: true, DisableTokenMount: true, Strict: true, DefaultAccount: "main",
				MountPath: "/run/token", RootCAConfigMap: "ca", TokenLifetime: 15 * time.Minute, Audience: "vault", OptOutAnnotation: "example.org/none", WaitTimeout: 5 * time.Second, DisableWait: true}},
		{name: "JSON", file: `{"apiVersion":"serviceaccount.kubesa.io/v1alpha1","kind":"ServiceAccountConfiguration","strict":true}`, want: admission.Config{Strict: true}},
		{name: "unknown field", file: head + "stict: true\n", wantErr: `unknown field "stict"`},
		{name: "other case", file: head + "Strict: true\n", wantErr: `unknown field "Strict"`},
		{name: "twice", file: head + "strict: true\nstrict: false\n", wantErr: `key "strict" already set in map`},
		{name: "other version", file: strings.Replace(head, "v1alpha1", "v2", 1), wantErr: "v2"},
		{name: "other kind", file: strings.Replace(head, "kind: ServiceAccount", "kind: Pod", 1), wantErr: "PodConfiguration"},
		{name: "no version", file: "strict: true\n", wantErr: "Kind"},
		{name: "wrong type", file: head + "strict: 3\n", wantErr: "bool"},
		{name: "unknown volume", file: head + "tokenVolume: Projcted\n", wantErr: `apiserver: ServiceAccountConfiguration.tokenVolume is "Projcted", want Projected or SecretBacked`},
		{name: "short", file: head + "tokenExpirationSeconds: 0\n", wantErr: "apiserver: ServiceAccountConfiguration.tokenExpirationSeconds is 0, want from 600 to 2^32"},
		{name: "not YAML", file: "{", wantErr: "apiserver: the configuration of ServiceAccount"},
		{name: "large", file: strings.Repeat("#", 1<<20+1), wantErr: "larger than 1 MiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := apiserver.ParseAdmissionConfiguration(strings.NewReader(tt.file))
			if (err == nil) != (tt.wantErr == "") || err != nil && !strings.Contains(err.Error(), tt.wantErr) {
				t.Fatalf("got %v, want %q", err, tt.wantErr)
			}
			if err == nil && !cmp.Equal(tt.want, got, cmp.Comparer(func(a, b func(string) string) bool { return (a == nil) == (b == nil) }), cmp.Comparer(func(a, b func(context.Context, string, string) error) bool { return (a == nil) == (b == nil) })) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
	// What only New finds is found when the server starts.
	getters := getterInitializer{ServiceAccounts: fake.New()}
	if _, err := registered(t, head+"mountPath: relative\n", getters); err == nil || !strings.Contains(err.Error(), "admission: Config.MountPath") {
		t.Errorf("got %v", err)
	}
	must(registered(t, head+"mountPath: /run/token\n", getters))(t)
}
