package furthervolume_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/admission/furthervolume"
	"github.com/kubesa/serviceaccount/admission/internal/admissiontest"
	"github.com/kubesa/serviceaccount/examples/replacing"
)

// eks does what amazon-eks-pod-identity-webhook does, but that a volume of another
// audience is not used.
func eks() furthervolume.Volume { return replacing.AWSPodIdentity("eu-west-1") }

// azure does what azure-workload-identity does.
func azure() furthervolume.Volume {
	v := replacing.AzureWorkloadIdentity("our-tenant")
	v.Name, v.MountPath, v.File = "azure-identity-token", "/var/run/secrets/azure/tokens", "azure-identity-token"
	return v
}

// A furtherCase is a pod of an account with the annotations of both clouds.
type furtherCase struct {
	cfg     []furthervolume.Volume
	pod     *corev1.Pod
	account *corev1.ServiceAccount
}

func newFurtherCase() *furtherCase {
	off := false
	return &furtherCase{
		cfg: []furthervolume.Volume{eks(), azure()},
		pod: &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", Labels: map[string]string{"azure.workload.identity/use": "true"}, Annotations: map[string]string{}},
			Spec: corev1.PodSpec{
				ServiceAccountName: "robot", DeprecatedServiceAccount: "robot", AutomountServiceAccountToken: &off,
				InitContainers: []corev1.Container{{Name: "setup"}}, Containers: []corev1.Container{{Name: "app"}},
				EphemeralContainers: []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug"}}},
			},
		},
		account: &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot", Namespace: "shop", Annotations: map[string]string{
			"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/r", "azure.workload.identity/client-id": "client",
		}}},
	}
}

// show says what a pod has: its volumes as name=audience/seconds/file, and per container
// its mounts and variables.
func show(pod *corev1.Pod) []string {
	var lines []string
	for _, v := range pod.Spec.Volumes {
		text := v.Name
		if v.Projected != nil {
			for _, s := range v.Projected.Sources {
				if t := s.ServiceAccountToken; t != nil {
					text += fmt.Sprintf(" %s %d %s", t.Audience, *t.ExpirationSeconds, t.Path)
				} else {
					text += " and more"
				}
			}
			if v.Projected.DefaultMode != nil {
				text += fmt.Sprintf(" %o", *v.Projected.DefaultMode)
			}
		}
		lines = append(lines, text)
	}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for _, c := range list {
			text := c.Name
			for _, m := range c.VolumeMounts {
				text += " " + m.Name + ":" + m.MountPath
			}
			for _, e := range c.Env {
				text += " " + e.Name + "=" + e.Value
			}
			lines = append(lines, text)
		}
	}
	return lines
}

const (
	awsVolume   = "aws-iam-token sts.amazonaws.com 86400 token"
	awsMount    = " aws-iam-token:/var/run/secrets/eks.amazonaws.com/serviceaccount"
	awsRole     = " AWS_ROLE_ARN=arn:aws:iam::1:role/r AWS_WEB_IDENTITY_TOKEN_FILE=/var/run/secrets/eks.amazonaws.com/serviceaccount/token"
	awsRegion   = " AWS_DEFAULT_REGION=eu-west-1 AWS_REGION=eu-west-1"
	azureVolume = "azure-identity-token api://AzureADTokenExchange 3600 azure-identity-token"
	azureMount  = " azure-identity-token:/var/run/secrets/azure/tokens"
	azureEnv    = " AZURE_CLIENT_ID=client AZURE_TENANT_ID=our-tenant AZURE_FEDERATED_TOKEN_FILE=/var/run/secrets/azure/tokens/azure-identity-token AZURE_AUTHORITY_HOST=https://login.microsoftonline.com/"
	both        = awsMount + azureMount + awsRole + awsRegion + azureEnv
)

// WEB-1, WEB-4, WEB-5, WEB-6, WEB-7, WEB-8, WEB-10, WEB-11, WEB-13, WEB-14, WEB-15, WEB-16,
// WEB-19, WEB-20, WEB-21, WEB-22, WEB-23, WEB-24, WEB-25, WEB-26, WEB-27, WEB-28
func TestFurtherVolumes(t *testing.T) {
	mount := func(path string) []corev1.VolumeMount {
		return []corev1.VolumeMount{{Name: "x", MountPath: path}}
	}
	projecting := func(audience, file string) corev1.Volume {
		seconds := int64(7200)
		return corev1.Volume{Name: "aws-iam-token", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: audience, Path: file, ExpirationSeconds: &seconds}}}}}}
	}
	for _, tt := range []struct {
		name   string
		mutate func(*furtherCase)
		want   []string
		denied string
	}{
		{name: "both clouds", want: []string{awsVolume, azureVolume, "setup" + both, "app" + both}},
		{name: "one", mutate: func(c *furtherCase) { delete(c.pod.Labels, "azure.workload.identity/use") },
			want: []string{awsVolume, "setup" + awsMount + awsRole + awsRegion, "app" + awsMount + awsRole + awsRegion}},
		{name: "another value of the label", mutate: func(c *furtherCase) { c.pod.Labels["azure.workload.identity/use"] = "false" },
			want: []string{awsVolume, "setup" + awsMount + awsRole + awsRegion, "app" + awsMount + awsRole + awsRegion}},
		{name: "the other", mutate: func(c *furtherCase) { c.account.Annotations["eks.amazonaws.com/role-arn"] = "" },
			want: []string{azureVolume, "setup" + azureMount + azureEnv, "app" + azureMount + azureEnv}},
		{name: "a mirror pod", mutate: func(c *furtherCase) {
			c.pod.Annotations[corev1.MirrorPodAnnotationKey] = "x"
			c.pod.Spec.ServiceAccountName, c.pod.Spec.DeprecatedServiceAccount = "", ""
		}, want: []string{"setup", "app"}},
		{name: "overridden by the account", mutate: func(c *furtherCase) {
			c.account.Annotations["eks.amazonaws.com/audience"] = "sts.china"
			c.account.Annotations["eks.amazonaws.com/token-expiration"] = "7200"
			c.account.Annotations["azure.workload.identity/tenant-id"] = "theirs"
			c.cfg = c.cfg[:1]
		}, want: []string{"aws-iam-token sts.china 7200 token", "setup" + awsMount + awsRole + awsRegion, "app" + awsMount + awsRole + awsRegion}},
		{name: "the lifetime by the pod", mutate: func(c *furtherCase) {
			c.account.Annotations["eks.amazonaws.com/token-expiration"] = "7200"
			c.pod.Annotations["eks.amazonaws.com/token-expiration"] = "9000"
			c.cfg = c.cfg[:1]
		}, want: []string{"aws-iam-token sts.amazonaws.com 9000 token", "setup" + awsMount + awsRole + awsRegion, "app" + awsMount + awsRole + awsRegion}},
		{name: "an audience by the pod is ignored", mutate: func(c *furtherCase) {
			c.pod.Annotations["eks.amazonaws.com/audience"] = "evil"
		}, want: []string{awsVolume, azureVolume, "setup" + both, "app" + both}},
		{name: "an audience by the pod, if allowed", mutate: func(c *furtherCase) {
			c.pod.Annotations["eks.amazonaws.com/audience"] = "other"
			c.cfg = c.cfg[:1]
			c.cfg[0].InsecurePodAudience = "eks.amazonaws.com/audience"
			c.cfg[0].Env = nil
		}, want: []string{"aws-iam-token other 86400 token", "setup" + awsMount, "app" + awsMount}},
		{name: "too long, clamped", mutate: func(c *furtherCase) {
			delete(c.pod.Labels, "azure.workload.identity/use")
			c.pod.Annotations["eks.amazonaws.com/token-expiration"] = "9223372036854775807"
		}, want: []string{"aws-iam-token sts.amazonaws.com 4294967296 token", "setup" + awsMount + awsRole + awsRegion, "app" + awsMount + awsRole + awsRegion}},
		{name: "shorter than Kubernetes allows", mutate: func(c *furtherCase) {
			c.cfg[0].MinLifetime, c.cfg[0].ClampLifetime = 0, false
			c.pod.Annotations["eks.amazonaws.com/token-expiration"] = "599"
		}, denied: "a token for 599 s is asked for in the volume aws-iam-token, want 600 to 4294967296 s"},
		{name: "too short, raised", mutate: func(c *furtherCase) {
			c.pod.Annotations["eks.amazonaws.com/token-expiration"] = "60"
			c.cfg = c.cfg[:1]
			c.cfg[0].Env = nil
		}, want: []string{"aws-iam-token sts.amazonaws.com 3600 token", "setup" + awsMount, "app" + awsMount}},
		{name: "no number, ignored", mutate: func(c *furtherCase) {
			c.pod.Annotations["eks.amazonaws.com/token-expiration"] = "1h"
		}, want: []string{awsVolume, azureVolume, "setup" + both, "app" + both}},
		{name: "too short, denied", mutate: func(c *furtherCase) {
			c.pod.Annotations["azure.workload.identity/service-account-token-expiration"] = "60"
		}, denied: "a token for 60 s is asked for in the volume azure-identity-token, want 3600 to 86400 s"},
		{name: "too long, denied", mutate: func(c *furtherCase) {
			c.account.Annotations["azure.workload.identity/service-account-token-expiration"] = "86401"
		}, denied: "a token for 86401 s is asked for in the volume azure-identity-token, want 3600 to 86400 s"},
		{name: "no number, denied", mutate: func(c *furtherCase) {
			c.pod.Annotations["azure.workload.identity/service-account-token-expiration"] = "1h"
		}, denied: `the annotation azure.workload.identity/service-account-token-expiration of the pod is "1h", want a number of seconds`},
		{name: "an overflowing number, denied", mutate: func(c *furtherCase) {
			c.pod.Annotations["azure.workload.identity/service-account-token-expiration"] = "99999999999999999999"
		}, denied: "want a number of seconds"},
		{name: "a path that is taken", mutate: func(c *furtherCase) {
			c.pod.Spec.Containers[0].VolumeMounts = mount("/var/run/secrets/azure/tokens/")
			c.cfg = c.cfg[1:]
			c.cfg[0].Env = nil
		}, want: []string{azureVolume, "setup" + azureMount, "app x:/var/run/secrets/azure/tokens/"}},
		{name: "all paths taken", mutate: func(c *furtherCase) {
			c.pod.Spec.InitContainers = nil
			c.pod.Spec.Containers[0].VolumeMounts = mount("/var/run/secrets/azure/tokens")
			c.cfg = c.cfg[1:]
			c.cfg[0].Env = nil
		}, want: []string{"app x:/var/run/secrets/azure/tokens"}},
		{name: "mounted without the volume", mutate: func(c *furtherCase) {
			c.pod.Spec.InitContainers = nil
			c.pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "azure-identity-token", MountPath: "/var/run/secrets/azure/tokens"}}
			c.cfg = c.cfg[1:]
			c.cfg[0].Env = nil
		}, want: []string{azureVolume, "app" + azureMount}},
		{name: "one variable of a group is there", mutate: func(c *furtherCase) {
			c.pod.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "AWS_ROLE_ARN", Value: "own"}}
			c.cfg = c.cfg[:1]
		}, want: []string{awsVolume, "setup" + awsMount + awsRole + awsRegion, "app" + awsMount + " AWS_ROLE_ARN=own" + awsRegion}},
		{name: "one variable is there", mutate: func(c *furtherCase) {
			c.pod.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "AZURE_CLIENT_ID", Value: "own"}}
			c.cfg = c.cfg[1:]
		}, want: []string{azureVolume, "setup" + azureMount + azureEnv, "app" + azureMount + strings.Replace(azureEnv, "=client", "=own", 1)}},
		{name: "an empty value", mutate: func(c *furtherCase) {
			delete(c.account.Annotations, "azure.workload.identity/client-id")
			c.cfg = c.cfg[1:]
		}, want: []string{azureVolume, "setup" + azureMount + strings.Replace(azureEnv, " AZURE_CLIENT_ID=client", "", 1), "app" + azureMount + strings.Replace(azureEnv, " AZURE_CLIENT_ID=client", "", 1)}},
		{name: "a value that refers to a variable", mutate: func(c *furtherCase) {
			c.account.Annotations["azure.workload.identity/client-id"] = "$(PASSWORD)"
			c.cfg = c.cfg[1:]
			c.cfg[0].Env = c.cfg[0].Env[:1]
			c.pod.Spec.InitContainers = nil
		}, want: []string{azureVolume, "app" + azureMount + " AZURE_CLIENT_ID=$$(PASSWORD)"}},
		{name: "containers that are skipped", mutate: func(c *furtherCase) {
			c.pod.Annotations["eks.amazonaws.com/skip-containers"] = "other, app"
			c.pod.Annotations["azure.workload.identity/skip-containers"] = "setup ;x"
		}, want: []string{awsVolume, azureVolume, "setup" + awsMount + awsRole + awsRegion, "app" + azureMount + azureEnv}},
		{name: "the volume is there", mutate: func(c *furtherCase) {
			c.pod.Spec.Volumes = []corev1.Volume{projecting("sts.amazonaws.com", "token")}
			c.cfg = c.cfg[:1]
		}, want: []string{"aws-iam-token sts.amazonaws.com 7200 token", "setup" + awsMount + awsRole + awsRegion, "app" + awsMount + awsRole + awsRegion}},
		{name: "a volume of another audience", mutate: func(c *furtherCase) {
			c.pod.Spec.Volumes = []corev1.Volume{projecting("", "token")}
		}, denied: `the pod has a volume aws-iam-token that does not project a token for "sts.amazonaws.com" as token`},
		{name: "a volume with another file", mutate: func(c *furtherCase) {
			c.pod.Spec.Volumes = []corev1.Volume{projecting("sts.amazonaws.com", "t")}
		}, denied: `the pod has a volume aws-iam-token that does not project a token`},
		{name: "a volume of another kind", mutate: func(c *furtherCase) { c.pod.Spec.Volumes = []corev1.Volume{{Name: "aws-iam-token"}} },
			denied: `the pod has a volume aws-iam-token that does not project a token`},
		{name: "more sources and a mode", mutate: func(c *furtherCase) {
			mode := int32(0o440)
			c.cfg = c.cfg[:1]
			c.cfg[0].Env, c.cfg[0].Mode = nil, &mode
			c.cfg[0].Sources = []corev1.VolumeProjection{{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"}}}}
			c.pod.Spec.InitContainers = nil
		}, want: []string{awsVolume + " and more 440", "app" + awsMount}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newFurtherCase()
			if tt.mutate != nil {
				tt.mutate(c)
			}
			p := admissiontest.Plugin(t, admissiontest.Have(c.account), func(cfg *admission.Config) { cfg.FurtherVolumes = c.cfg })
			before := c.pod.DeepCopy()
			err := p.Admit(t.Context(), admissiontest.Create(c.pod))
			if tt.denied != "" {
				if err == nil || !strings.Contains(err.Error(), tt.denied) {
					t.Errorf("Admit() = %v, want %q", err, tt.denied)
				}
				if diff := cmp.Diff(before, c.pod); diff != "" {
					t.Errorf("the denied pod was changed:\n%s", diff)
				}
				return
			}
			if diff := cmp.Diff(tt.want, show(c.pod)); diff != "" || err != nil {
				t.Errorf("Admit() = %v (-want +got):\n%s", err, diff)
			}
			once := c.pod.DeepCopy()
			if err := p.Admit(t.Context(), admissiontest.Create(c.pod)); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(once, c.pod); diff != "" {
				t.Errorf("the second time (-once +twice):\n%s", diff)
			}
		})
	}
}

func TestFurtherVolumesConfig(t *testing.T) {
	mode := int32(0o1000)
	good := furthervolume.Volume{Name: "a", Audience: "b", MountPath: "/c"}
	for _, tt := range []struct {
		name   string
		change func(*furthervolume.Volume)
		want   string // after "admission: Config.FurtherVolumes[1]."
	}{
		{"no name", func(f *furthervolume.Volume) { f.Name = "" }, `Name is "", want the name of a volume`},
		{"a name twice", func(f *furthervolume.Volume) { f.Name = "z" }, `Name is "z", which another volume has`},
		{"the prefix", func(f *furthervolume.Volume) { f.Name = "kube-api-access-x" }, "Name is"},
		{"no audience", func(f *furthervolume.Volume) { f.Audience = "" }, "Audience is empty"},
		{"no path", func(f *furthervolume.Volume) { f.MountPath = "" }, `MountPath is ""`},
		{"an unclean path", func(f *furthervolume.Volume) { f.MountPath = "/c/" }, `MountPath is "/c/"`},
		{"the default path", func(f *furthervolume.Volume) { f.MountPath = admission.DefaultMountPath }, "MountPath is"},
		{"a path twice", func(f *furthervolume.Volume) { f.MountPath = "/z" }, `MountPath is "/z", but another volume is mounted at "/z"`},
		{"a path in another", func(f *furthervolume.Volume) { f.MountPath = "/z/y" }, `MountPath is "/z/y", but another volume is mounted at "/z"`},
		{"a path around the default one", func(f *furthervolume.Volume) { f.MountPath = "/var/run/secrets" }, `MountPath is "/var/run/secrets", but another volume is mounted at "/var/run/secrets/kubernetes.io/serviceaccount"`},
		{"a path of the machine", func(f *furthervolume.Volume) { f.File = "/x" }, `File is "/x"`},
		{"an unclean file", func(f *furthervolume.Volume) { f.File = "x/" }, `File is "x/"`},
		{"a negative mode", func(f *furthervolume.Volume) { f.Mode = new(int32(-1)) }, "Mode is -01"},
		{"longer than its bounds", func(f *furthervolume.Volume) { f.MaxLifetime = 30 * time.Minute }, "Lifetime is 1h0m0s, want from MinLifetime to MaxLifetime"},
		{"a token", func(f *furthervolume.Volume) {
			f.Sources = []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{}}}
		}, "Sources[0] has a secret of its own"},
		{"a certificate", func(f *furthervolume.Volume) {
			f.Sources = []corev1.VolumeProjection{{}, {PodCertificate: &corev1.PodCertificateProjection{}}}
		}, "Sources[1] has a secret of its own"},
		{"a file outside", func(f *furthervolume.Volume) { f.File = "../x" }, `File is "../x"`},
		{"too short", func(f *furthervolume.Volume) { f.Lifetime = time.Minute }, "Lifetime is 1m0s"},
		{"not whole seconds", func(f *furthervolume.Volume) { f.MaxLifetime = time.Hour + 1 }, "MaxLifetime is"},
		{"out of its bounds", func(f *furthervolume.Volume) { f.MinLifetime = 2 * time.Hour }, "Lifetime is 1h0m0s, want from MinLifetime to MaxLifetime"},
		{"bounds the wrong way round", func(f *furthervolume.Volume) {
			f.MinLifetime, f.MaxLifetime, f.ClampLifetime = 2*time.Hour, time.Hour, true
		}, "Lifetime is"},
		{"a mode", func(f *furthervolume.Volume) { f.Mode = &mode }, "Mode is 01000"},
		{"a Secret", func(f *furthervolume.Volume) {
			f.Sources = []corev1.VolumeProjection{{Secret: &corev1.SecretProjection{}}}
		}, "Sources[0] has a secret of its own"},
		{"a variable", func(f *furthervolume.Volume) { f.Env = []furthervolume.EnvVar{{Name: "A=B"}} }, `Env[0].Name is "A=B"`},
		{"a condition without a key", func(f *furthervolume.Volume) { f.When.PodLabel = "=yes" }, `When.PodLabel is "=yes", want the key of an annotation or a label: `},
		{"a condition that never holds", func(f *furthervolume.Volume) { f.When.AccountAnnotation = "eks.amazonaws.com/role arn=x" }, `When.AccountAnnotation is "eks.amazonaws.com/role arn", want the key`},
		{"a label of the account", func(f *furthervolume.Volume) { f.When.AccountLabel = "a/b/c" }, `When.AccountLabel is "a/b/c"`},
		{"an annotation of the pod", func(f *furthervolume.Volume) { f.When.PodAnnotation = "a:b" }, `When.PodAnnotation is "a:b"`},
		{"an audience of nobody", func(f *furthervolume.Volume) { f.AccountAudience = "a=b" }, `AccountAudience is "a=b"`},
		{"an audience of no pod", func(f *furthervolume.Volume) { f.InsecurePodAudience = "-" }, `InsecurePodAudience is "-"`},
		{"a lifetime of nobody", func(f *furthervolume.Volume) { f.AccountLifetime = "/x" }, `AccountLifetime is "/x"`},
		{"a lifetime of no pod", func(f *furthervolume.Volume) { f.PodLifetime = "x/" }, `PodLifetime is "x/"`},
		{"no list of containers", func(f *furthervolume.Volume) { f.SkipContainers = "ä" }, `SkipContainers is "ä"`},
		{"a variable of no pod", func(f *furthervolume.Volume) { f.Env = []furthervolume.EnvVar{{Name: "A", PodAnnotation: " a"}} }, `Env[0].PodAnnotation is " a"`},
		{"a variable of no account", func(f *furthervolume.Volume) {
			f.Env = []furthervolume.EnvVar{{Name: "A"}, {Name: "B", AccountAnnotation: "a b"}}
		}, `Env[1].AccountAnnotation is "a b"`},
	} {
		f := good
		tt.change(&f)
		_, err := admission.New(admission.Config{ServiceAccounts: admissiontest.Have(), FurtherVolumes: []furthervolume.Volume{{Name: "z", Audience: "y", MountPath: "/z"}, f}})
		if _, ok := errors.AsType[*admission.ConfigError](err); !ok || !strings.Contains(err.Error(), "admission: Config.FurtherVolumes[1]."+tt.want) {
			t.Errorf("%s: New() = %v, want %q", tt.name, err, tt.want)
		}
	}
	most := make([]furthervolume.Volume, 32)
	for i := range most {
		most[i] = furthervolume.Volume{Name: fmt.Sprint("v", i), Audience: "a", MountPath: fmt.Sprint("/v", i)}
	}
	most[0].Mode, most[1].Mode = new(int32), new(int32(0o777))
	most[2].MinLifetime, most[2].MaxLifetime = time.Hour, time.Hour
	most[3].MinLifetime, most[3].ClampLifetime = 2*time.Hour, true
	most[4].MountPath = "/v" // beside /v0
	most[5].Lifetime, most[6].MaxLifetime = 10*time.Minute, 1<<32*time.Second
	most[31].File = ""
	most[7].When, most[8].PodLifetime = furthervolume.Condition{PodLabel: "Example.com/A_b=", AccountAnnotation: "a=b=c"}, "EXAMPLE.com/x"
	for i := range most[:31] {
		most[i].File = "x/y"
	}
	if _, err := admission.New(admission.Config{ServiceAccounts: admissiontest.Have(), FurtherVolumes: most}); err != nil {
		t.Errorf("New() of what may be = %v", err)
	}
	if _, err := admission.New(admission.Config{ServiceAccounts: admissiontest.Have(), FurtherVolumes: make([]furthervolume.Volume, 33)}); err == nil || !strings.Contains(err.Error(), "has 33 volumes, want at most 32") {
		t.Errorf("New() of 33 volumes = %v", err)
	}
}

// What the webhooks of cloud providers do, as configuration.
func ExampleVolume() {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "robot", Annotations: map[string]string{
		"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/reader",
	}}}
	plugin, err := admission.New(admission.Config{
		ServiceAccounts: admissiontest.Have(account),
		FurtherVolumes: []furthervolume.Volume{{
			Name:      "aws-iam-token",
			When:      furthervolume.Condition{AccountAnnotation: "eks.amazonaws.com/role-arn"},
			Audience:  "sts.amazonaws.com",
			MountPath: "/var/run/secrets/eks.amazonaws.com/serviceaccount",
			Env: []furthervolume.EnvVar{
				{Name: "AWS_ROLE_ARN", AccountAnnotation: "eks.amazonaws.com/role-arn"},
				{Name: "AWS_WEB_IDENTITY_TOKEN_FILE", TokenFile: true},
			},
		}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	off := false
	pod := &corev1.Pod{Spec: corev1.PodSpec{
		ServiceAccountName: "robot", DeprecatedServiceAccount: "robot", AutomountServiceAccountToken: &off, Containers: []corev1.Container{{Name: "app"}},
	}}
	decision, err := plugin.Decide(context.Background(), admissiontest.Create(pod))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(decision)

	// Output:
	// keep spec.serviceAccountName (the pod names robot)
	// keep spec.volumes (automountServiceAccountToken of the pod is false)
	// add to spec.volumes: aws-iam-token (it projects a token for "sts.amazonaws.com" that lives for 3600 s)
	// add to spec.containers[0].volumeMounts: aws-iam-token at /var/run/secrets/eks.amazonaws.com/serviceaccount (container app has nothing mounted there)
	// add to spec.containers[0].env: AWS_ROLE_ARN (container app doesn't have it)
	// add to spec.containers[0].env: AWS_WEB_IDENTITY_TOKEN_FILE (container app doesn't have it)
	// keep spec.imagePullSecrets (the account has none either)
}

// A Plugin keeps its own copy of the volumes.
func TestClone(t *testing.T) {
	v := eks()
	v.Mode, v.Sources = new(int32(0o600)), []corev1.VolumeProjection{{ConfigMap: &corev1.ConfigMapProjection{Items: []corev1.KeyToPath{{Key: "a"}}}}}
	clone := v.Clone()
	if diff := cmp.Diff(v, clone); diff != "" {
		t.Errorf("Clone() (-v +clone):\n%s", diff)
	}
	*clone.Mode, clone.Sources[0].ConfigMap.Items[0].Key, clone.Env[0].Name = 0, "b", "B"
	if *v.Mode != 0o600 || v.Sources[0].ConfigMap.Items[0].Key != "a" || v.Env[0].Name != "AWS_ROLE_ARN" {
		t.Errorf("a change of the copy changes %+v", v)
	}
}

func TestPodKeys(t *testing.T) {
	v := furthervolume.Volume{
		When: furthervolume.Condition{PodAnnotation: "when=x", PodLabel: "label=y"}, InsecurePodAudience: "audience", PodLifetime: "lifetime", SkipContainers: "skip",
		Env: []furthervolume.EnvVar{{PodAnnotation: "env"}, {}},
	}
	annotations, labels := v.PodKeys()
	if got, want := fmt.Sprint(annotations, labels), "[when audience lifetime skip env] [label]"; got != want {
		t.Errorf("PodKeys() = %s, want %s", got, want)
	}
}

// Every edit says why.
func TestWhy(t *testing.T) {
	v := furthervolume.Volume{
		Name: "v", When: furthervolume.Condition{PodLabel: "v=", PodAnnotation: "v"}, Audience: "vault", MountPath: "/v", SkipContainers: "skip",
		Env: []furthervolume.EnvVar{{Name: "A", Value: "a", Group: "g"}, {Name: "B", Value: "b", Group: "g"}, {Name: "C", Value: "c"}, {Name: "C", Value: "d"}},
	}
	there := corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
		{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: "vault", Path: "token"}}}}}}
	p := admissiontest.Pod(func(p *corev1.Pod) {
		p.Labels, p.Annotations = map[string]string{"v": ""}, map[string]string{"skip": "skipped", "v": "x"}
		p.Spec.InitContainers = []corev1.Container{{Name: "i", Env: []corev1.EnvVar{{Name: "B"}}}}
		p.Spec.Containers = []corev1.Container{{Name: "skipped"}, {Name: "c", VolumeMounts: []corev1.VolumeMount{{MountPath: "/v/"}}}}
	})
	why := func() (lines []string) {
		edits, err := furthervolume.Decide(t.Context(), []furthervolume.Volume{v}, p, admissiontest.Account("default"))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range edits {
			lines = append(lines, fmt.Sprintf("%s[%d] %v %T: %s", e.Field, e.Container, e.Env, e.Add, e.Why()))
		}
		return lines
	}
	want := []string{
		`volumes[0] false v1.Volume: it projects a token for "vault" that lives for 3600 s`,
		"initContainers[0] false v1.VolumeMount: container i has nothing mounted there",
		"initContainers[0] true <nil>: v: container i has another variable of the group of A",
		"initContainers[0] true <nil>: v: container i has the variable B",
		"initContainers[0] true v1.EnvVar: container i doesn't have it",
		"initContainers[0] true <nil>: v: container i has the variable C",
		"containers[0] false <nil>: v: container skipped is listed in the annotation skip",
		"containers[1] false <nil>: v: container c has something mounted at /v",
		"containers[1] true v1.EnvVar: container c doesn't have it",
		"containers[1] true v1.EnvVar: container c doesn't have it",
		"containers[1] true v1.EnvVar: container c doesn't have it",
		"containers[1] true <nil>: v: container c has the variable C",
	}
	if diff := cmp.Diff(want, why()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	p.Spec.Volumes = []corev1.Volume{there}
	if want[0] = "volumes[0] false <nil>: v: v projects the token already"; !cmp.Equal(why(), want) {
		t.Errorf("with the volume (-want +got):\n%s", cmp.Diff(want, why()))
	}
	p.Spec.InitContainers, v.Env = nil, nil
	if diff := cmp.Diff([]string{"volumes[0] false <nil>: v: no container needs it", want[6], want[7]}, why()); diff != "" {
		t.Errorf("when nothing is needed (-want +got):\n%s", diff)
	}
	delete(p.Labels, "v")
	if diff := cmp.Diff([]string{"volumes[0] false <nil>: v: the label of the pod v= is missing"}, why()); diff != "" {
		t.Errorf("without the label (-want +got):\n%s", diff)
	}
}

// If several volumes set a variable, a container gets it from the first (WEB-28).
func TestVariableOfTwoVolumes(t *testing.T) {
	c := newFurtherCase()
	second := eks()
	second.Name, second.MountPath, second.Env = "second", "/second", []furthervolume.EnvVar{{Name: "AWS_REGION", Value: "other"}, {Name: "MORE", Value: "m"}}
	p := admissiontest.Plugin(t, admissiontest.Have(c.account), func(cfg *admission.Config) { cfg.FurtherVolumes = []furthervolume.Volume{eks(), second} })
	c.pod.Spec.InitContainers[0].Env = []corev1.EnvVar{{Name: "AWS_DEFAULT_REGION", Value: "own"}} // so that the group of both is kept
	if err := p.Admit(t.Context(), admissiontest.Create(c.pod)); err != nil {
		t.Fatal(err)
	}
	if !c.pod.Spec.Containers[0].VolumeMounts[0].ReadOnly {
		t.Error("the mount is not read-only")
	}
	more, mount := " MORE=m", awsMount+" second:/second"
	want := []string{"setup" + mount + " AWS_DEFAULT_REGION=own" + awsRole + " AWS_REGION=other" + more, "app" + mount + awsRole + awsRegion + more}
	if diff := cmp.Diff(want, show(c.pod)[2:]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
