package admissionconfig_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/admission/furthervolume"
	"github.com/kubesa/serviceaccount/apiserver/admissionconfig"
)

const configurationHead = "apiVersion: serviceaccount.kubesa.io/v1alpha1\nkind: ServiceAccountConfiguration\n"

// furtherVolume is the start of a file with a good further volume, to which lines are added.
const furtherVolume = configurationHead + `furtherVolumes:
- name: aws-iam-token
  audience: sts.amazonaws.com
  mountPath: /run/aws
`

// fill sets every field below v that a file can have to a value that isn't zero.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	switch typ := v.Type(); {
	case typ == reflect.TypeFor[metav1.TypeMeta](), v.Kind() == reflect.Interface, v.Kind() == reflect.Func:
	case typ == reflect.TypeFor[metav1.Duration]():
		v.Set(reflect.ValueOf(metav1.Duration{Duration: 20 * time.Minute}))
	case typ == reflect.TypeFor[corev1.VolumeProjection]():
		v.Set(reflect.ValueOf(corev1.VolumeProjection{ConfigMap: &corev1.ConfigMapProjection{Items: []corev1.KeyToPath{{Key: "k", Path: "p"}}}}))
	case v.Kind() == reflect.String:
		v.SetString("x")
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.CanInt():
		v.SetInt(1200)
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(typ.Elem()))
		fill(t, v.Elem())
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(typ, 1, 1))
		fill(t, v.Index(0))
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	default:
		t.Fatalf("a %v", typ)
	}
}

// unset returns the fields below v that are zero.
func unset(path string, v reflect.Value) (paths []string) {
	switch {
	case v.IsZero():
		return []string{path}
	case v.Kind() == reflect.Slice:
		return unset(path+"[0]", v.Index(0))
	case v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[corev1.VolumeProjection]():
		for i := range v.NumField() {
			paths = append(paths, unset(path+"."+v.Type().Field(i).Name, v.Field(i))...)
		}
	}
	return paths
}

// The configuration is strict, and says what the Config says.
func TestConfiguration(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		want       admission.Config
		wantErr    string // part
	}{
		{name: "empty"},
		{name: "nothing set", file: configurationHead},
		{name: "all", file: configurationHead + "tokenVolume: SecretBacked\nallowMissingToken: true\nlimitSecretReferences: true\ndisableTokenMount: true\nstrict: true\ndefaultAccount: main\nmountPath: /run/token\nrootCAConfigMap: ca\ntokenExpirationSeconds: 900\naudience: vault\noptOutAnnotation: example.org/none\nwaitTimeout: 5s\ndisableWait: true\n",
			want: admission.Config{TokenVolume: admission.SecretBacked, AllowMissingToken: true, LimitSecretReferences: true, DisableTokenMount: true, Strict: true, DefaultAccount: "main",
				MountPath: "/run/token", RootCAConfigMap: "ca", TokenLifetime: 15 * time.Minute, Audience: "vault", OptOutAnnotation: "example.org/none", WaitTimeout: 5 * time.Second, DisableWait: true}},
		{name: "JSON", file: `{"apiVersion":"serviceaccount.kubesa.io/v1alpha1","kind":"ServiceAccountConfiguration","strict":true}`, want: admission.Config{Strict: true}},
		{name: "unknown field", file: configurationHead + "stict: true\n", wantErr: `unknown field "stict"`},
		{name: "other case", file: configurationHead + "Strict: true\n", wantErr: `unknown field "Strict"`},
		{name: "twice", file: configurationHead + "strict: true\nstrict: false\n", wantErr: `key "strict" already set in map`},
		{name: "other version", file: strings.Replace(configurationHead, "v1alpha1", "v2", 1), wantErr: "v2"},
		{name: "other kind", file: strings.Replace(configurationHead, "kind: ServiceAccount", "kind: Pod", 1), wantErr: "PodConfiguration"},
		{name: "no version", file: "strict: true\n", wantErr: "Kind"},
		{name: "wrong type", file: configurationHead + "strict: 3\n", wantErr: "bool"},
		{name: "unknown volume", file: configurationHead + "tokenVolume: Projcted\n", wantErr: `admissionconfig: ServiceAccountConfiguration.tokenVolume is "Projcted", want Projected or SecretBacked`},
		{name: "short", file: configurationHead + "tokenExpirationSeconds: 0\n", wantErr: "admissionconfig: ServiceAccountConfiguration.tokenExpirationSeconds is 0, want from 600 to 2^32"},
		{name: "shortest", file: configurationHead + "tokenExpirationSeconds: 600\n", want: admission.Config{TokenLifetime: 10 * time.Minute}},
		{name: "too short", file: configurationHead + "tokenExpirationSeconds: 599\n", wantErr: "tokenExpirationSeconds is 599, want from 600 to 2^32"},
		{name: "longest", file: configurationHead + "tokenExpirationSeconds: 4294967296\n", want: admission.Config{TokenLifetime: 1 << 32 * time.Second}},
		{name: "too long", file: configurationHead + "tokenExpirationSeconds: 4294967297\n", wantErr: "tokenExpirationSeconds is 4294967297, want from 600 to 2^32"},
		{name: "largest", file: configurationHead + strings.Repeat("#", 1<<20-len(configurationHead))},
		{name: "not YAML", file: "{", wantErr: "admissionconfig: the configuration of ServiceAccount"},
		{name: "large", file: strings.Repeat("#", 1<<20+1), wantErr: "larger than 1 MiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := admissionconfig.Parse(strings.NewReader(tt.file))
			if (err == nil) != (tt.wantErr == "") || err != nil && !strings.Contains(err.Error(), tt.wantErr) {
				t.Fatalf("got %v, want %q", err, tt.wantErr)
			}
			if err == nil && !cmp.Equal(tt.want, got, cmp.Comparer(func(a, b func(string) string) bool { return (a == nil) == (b == nil) }), cmp.Comparer(func(a, b func(context.Context, string, string) error) bool { return (a == nil) == (b == nil) })) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
	if _, err := admissionconfig.Parse(nil); err != nil {
		t.Errorf("got %v without a file", err)
	}
	errDisk := errors.New("disk")
	if _, err := admissionconfig.Parse(iotest.ErrReader(errDisk)); !errors.Is(err, errDisk) {
		t.Errorf("got %v, want the error of the file", err)
	}
}

// Every field of a Config that is data can be set in a file, and copies of the file's
// object share nothing.
func TestConfigurationIsComplete(t *testing.T) {
	var c admissionconfig.ServiceAccountConfiguration
	fill(t, reflect.ValueOf(&c).Elem())
	c.TypeMeta = metav1.TypeMeta{APIVersion: admissionconfig.Version, Kind: admissionconfig.Kind}
	c.TokenVolume = admission.SecretBacked.String()
	if paths := unset("", reflect.ValueOf(c)); len(paths) > 0 {
		t.Fatalf("fill left %q", paths)
	}
	file := must(json.Marshal(&c))(t)
	cfg := must(admissionconfig.Parse(strings.NewReader(string(file))))(t)
	want := []string{".ServiceAccounts", ".Live", ".Wait", ".Secrets", ".NewName"}
	if diff := cmp.Diff(want, unset("", reflect.ValueOf(cfg))); diff != "" {
		t.Errorf("what a file doesn't set (-want +got):\n%s", diff)
	}

	clone := c.DeepCopyObject().(*admissionconfig.ServiceAccountConfiguration)
	if diff := cmp.Diff(&c, clone); diff != "" {
		t.Errorf("the copy differs (-want +got):\n%s", diff)
	}
	*clone.TokenExpirationSeconds = 1
	f := &clone.FurtherVolumes[0]
	f.Name, *f.Mode, f.Env[0].Name, f.Sources[0].ConfigMap.Items[0].Key = "y", 1, "y", "y"
	if again := string(must(json.Marshal(&c))(t)); again != string(file) {
		t.Errorf("a change of the copy changed the original:\n%s", again)
	}
	least := &admissionconfig.ServiceAccountConfiguration{FurtherVolumes: []admissionconfig.FurtherVolume{{Name: "x"}}}
	if diff := cmp.Diff(least, least.DeepCopyObject()); diff != "" {
		t.Errorf("the copy of the least differs (-want +got):\n%s", diff)
	}
	if (*admissionconfig.ServiceAccountConfiguration)(nil).DeepCopyObject() != runtime.Object(nil) {
		t.Error("the copy of nil isn't nil")
	}
}

// Further volumes are read as strictly as the rest.
func TestConfigurationOfFurtherVolumes(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		want       []furthervolume.Volume
		wantErr    string // part
	}{
		{name: "least", file: furtherVolume, want: []furthervolume.Volume{{Name: "aws-iam-token", Audience: "sts.amazonaws.com", MountPath: "/run/aws"}}},
		{name: "none", file: configurationHead + "furtherVolumes: []\n"},
		{name: "condition, lifetimes and variables", file: furtherVolume + `  when: {accountAnnotation: eks.amazonaws.com/role-arn}
  lifetime: 24h
  minLifetime: 1h
  clampLifetime: true
  mode: 0440
  sources:
  - configMap: {name: ca}
  env:
  - {name: AWS_WEB_IDENTITY_TOKEN_FILE, tokenFile: true, group: role}
`, want: []furthervolume.Volume{{
			Name: "aws-iam-token", Audience: "sts.amazonaws.com", MountPath: "/run/aws", When: furthervolume.Condition{AccountAnnotation: "eks.amazonaws.com/role-arn"},
			Lifetime: 24 * time.Hour, MinLifetime: time.Hour, ClampLifetime: true, Mode: new(int32(0o440)),
			Sources: []corev1.VolumeProjection{{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "ca"}}}},
			Env:     []furthervolume.EnvVar{{Name: "AWS_WEB_IDENTITY_TOKEN_FILE", TokenFile: true, Group: "role"}},
		}}},
		{name: "unknown field", file: furtherVolume + "  audiences: [x]\n", wantErr: `unknown field "furtherVolumes[0].audiences"`},
		{name: "other case", file: furtherVolume + "  Lifetime: 1h\n", wantErr: `unknown field "furtherVolumes[0].Lifetime"`},
		{name: "twice", file: furtherVolume + "  name: other\n", wantErr: `key "name" already set in map`},
		{name: "unknown condition", file: furtherVolume + "  when: {accountAnotation: x}\n", wantErr: `unknown field "furtherVolumes[0].when.accountAnotation"`},
		{name: "unknown field of a variable", file: furtherVolume + "  env: [{name: A, valueFrom: {}}]\n", wantErr: `unknown field "furtherVolumes[0].env[0].valueFrom"`},
		{name: "unknown source", file: furtherVolume + "  sources: [{hostPath: {path: /}}]\n", wantErr: `unknown field "furtherVolumes[0].sources[0].hostPath"`},
		{name: "a number of seconds", file: furtherVolume + "  lifetime: 3600\n", wantErr: "string"},
		{name: "no duration", file: furtherVolume + "  lifetime: 1d\n", wantErr: "unknown unit"},
		{name: "mode of text", file: furtherVolume + "  mode: rw\n", wantErr: "int32"},
		{name: "no list", file: configurationHead + "furtherVolumes: {}\n", wantErr: "cannot unmarshal object"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := admissionconfig.Parse(strings.NewReader(tt.file))
			if (err == nil) != (tt.wantErr == "") || err != nil && !strings.Contains(err.Error(), tt.wantErr) {
				t.Fatalf("got %v, want %q", err, tt.wantErr)
			}
			if diff := cmp.Diff(tt.want, got.FurtherVolumes); err == nil && diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}
