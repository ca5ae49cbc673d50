package tokenrequest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
	"github.com/kubesa/serviceaccount/tokens/tokenrequest"
)

// A cluster is what the node rule looks up. It counts lookups.
type cluster struct {
	pods    map[string]*corev1.Pod
	claims  map[string]string // to the volume
	volumes map[string]corev1.PersistentVolumeSource
	drivers map[string][]string // to the audiences
	err     error               // of every lookup but those of pods
	podErr  error
	asked   []string
}

func (c *cluster) GetPod(_ context.Context, namespace, name string) (*corev1.Pod, error) {
	c.asked = append(c.asked, namespace+"/"+name)
	if c.podErr != nil {
		return nil, c.podErr
	}
	pod, ok := c.pods[name]
	if !ok {
		return nil, apierrors.NewNotFound(corev1.Resource("pods"), name)
	}
	return pod, nil
}

func (c *cluster) GetPersistentVolumeClaim(_ context.Context, namespace, name string) (*corev1.PersistentVolumeClaim, error) {
	c.asked = append(c.asked, namespace+"/"+name)
	volume, ok := c.claims[name]
	if !ok {
		return nil, apierrors.NewNotFound(corev1.Resource("persistentvolumeclaims"), name)
	}
	return &corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{VolumeName: volume}}, c.err
}

func (c *cluster) GetPersistentVolume(_ context.Context, name string) (*corev1.PersistentVolume, error) {
	c.asked = append(c.asked, name)
	source, ok := c.volumes[name]
	if !ok {
		return nil, apierrors.NewNotFound(corev1.Resource("persistentvolumes"), name)
	}
	return &corev1.PersistentVolume{Spec: corev1.PersistentVolumeSpec{PersistentVolumeSource: source}}, c.err
}

func (c *cluster) GetCSIDriver(_ context.Context, name string) (*storagev1.CSIDriver, error) {
	c.asked = append(c.asked, name)
	audiences, ok := c.drivers[name]
	if !ok {
		return nil, apierrors.NewNotFound(storagev1.Resource("csidrivers"), name)
	}
	driver := &storagev1.CSIDriver{}
	for _, audience := range audiences {
		driver.Spec.TokenRequests = append(driver.Spec.TokenRequests, storagev1.TokenRequest{Audience: audience})
	}
	return driver, c.err
}

// A nodeCase is a request of a node for the account ci/builder, and what is there.
type nodeCase struct {
	cfg     tokenrequest.NodeRuleConfig
	cluster *cluster
	user    authenticationv1.UserInfo
	request *authenticationv1.TokenRequest
	pod     *corev1.Pod
}

func newNodeCase() *nodeCase {
	projected := &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
		{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{}}, {ConfigMap: &corev1.ConfigMapProjection{}},
	}}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "job", UID: "1"},
		Spec: corev1.PodSpec{NodeName: "worker", Volumes: []corev1.Volume{
			{Name: "work"},
			{Name: "api", VolumeSource: corev1.VolumeSource{Projected: projected}},
		}},
	}
	c := &nodeCase{
		cluster: &cluster{
			pods:    map[string]*corev1.Pod{"job": pod},
			claims:  map[string]string{"data": "volume", "job-scratch": "volume", "disk": "disk", "files": "files", "unbound": ""},
			volumes: map[string]corev1.PersistentVolumeSource{"volume": {CSI: &corev1.CSIPersistentVolumeSource{Driver: "csi.example"}}, "disk": {GCEPersistentDisk: &corev1.GCEPersistentDiskVolumeSource{}}, "files": {NFS: &corev1.NFSVolumeSource{}}},
			drivers: map[string][]string{"csi.example": {"store", "vault"}, "pd.csi.storage.gke.io": {"gcp"}},
		},
		user: authenticationv1.UserInfo{Username: "system:node:worker", Groups: []string{"system:nodes", "system:authenticated"}},
		request: &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
			BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: "job", UID: "1"},
		}},
		pod: pod,
	}
	c.cfg = tokenrequest.NodeRuleConfig{
		User: func(context.Context) (authenticationv1.UserInfo, bool) { return c.user, true },
		Pods: c.cluster, CSIDrivers: c.cluster, PersistentVolumeClaims: c.cluster, PersistentVolumes: c.cluster,
	}
	return c
}

// ask sets the audiences that are requested.
func (c *nodeCase) ask(audiences ...string) { c.request.Spec.Audiences = audiences }

// mount adds a volume to the pod.
func (c *nodeCase) mount(source corev1.VolumeSource) {
	c.pod.Spec.Volumes = append(c.pod.Spec.Volumes, corev1.Volume{Name: "scratch", VolumeSource: source})
}

func claim(name string) corev1.VolumeSource {
	return corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}}
}

// NOD-1, NOD-2, NOD-5, NOD-6, NOD-7, NOD-8, NOD-9, NOD-10, NOD-11, NOD-12, NOD-13, NOD-14, NOD-15,
// NOD-16, NOD-17, NOD-18, NOD-19, NOD-20, NOD-21, NOD-3, NOD-4
func TestNodeRule(t *testing.T) {
	const forbidden = `serviceaccounts "builder" is forbidden: `
	down := errors.New("down")
	ephemeral := corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{}}}
	for _, tt := range []struct {
		name   string
		mutate func(*nodeCase)
		want   string // the error; empty: allowed
		asked  string // what was looked up
	}{
		{name: "the default token", asked: "ci/job"},
		{name: "another user", mutate: func(c *nodeCase) { c.user.Username, c.request = "jane", &authenticationv1.TokenRequest{} }},
		{name: "a node's name without the group", mutate: func(c *nodeCase) { c.user.Groups, c.request = nil, &authenticationv1.TokenRequest{} }},
		{name: "the group without a node's name", mutate: func(c *nodeCase) {
			c.user.Username, c.request = "system:serviceaccount:ci:builder", &authenticationv1.TokenRequest{}
		}},
		{name: "a node without name", mutate: func(c *nodeCase) { c.user.Username = "system:node:" }, want: forbidden + `could not determine node from user "system:node:"`},
		{name: "no user", mutate: func(c *nodeCase) {
			c.cfg.User = func(context.Context) (authenticationv1.UserInfo, bool) { return authenticationv1.UserInfo{}, false }
		}, want: forbidden + "the user of the request is not known"},
		{name: "no request", mutate: func(c *nodeCase) { c.request = nil }, want: forbidden + "unexpected type: nil"},
		{name: "not bound", mutate: func(c *nodeCase) { c.request.Spec.BoundObjectRef = nil }, want: forbidden + "node requested token not bound to a pod"},
		{name: "bound to a Secret", mutate: func(c *nodeCase) { c.request.Spec.BoundObjectRef.Kind = "Secret" }, want: forbidden + "node requested token not bound to a pod"},
		{name: "another version", mutate: func(c *nodeCase) { c.request.Spec.BoundObjectRef.APIVersion = "core/v1" }, want: forbidden + "node requested token not bound to a pod"},
		{name: "no pod name", mutate: func(c *nodeCase) { c.request.Spec.BoundObjectRef.Name = "" }, want: forbidden + "node requested token not bound to a pod"},
		{name: "no UID", mutate: func(c *nodeCase) { c.request.Spec.BoundObjectRef.UID = "" }, want: forbidden + "node requested token with a pod binding without a uid"},
		{name: "no pod", mutate: func(c *nodeCase) { c.request.Spec.BoundObjectRef.Name = "other" }, want: `pod "other" not found`, asked: "ci/other"},
		{name: "a path", mutate: func(c *nodeCase) { c.request.Spec.BoundObjectRef.Name = "../secrets/x" }, want: `pod "../secrets/x" not found`},
		{name: "pods can't be read", mutate: func(c *nodeCase) { c.cluster.podErr = down }, want: forbidden + "down", asked: "ci/job"},
		{name: "another UID", mutate: func(c *nodeCase) { c.request.Spec.BoundObjectRef.UID = "2" }, asked: "ci/job",
			want: forbidden + "the UID in the bound object reference (2) does not match the UID in record. The object might have been deleted and then recreated"},
		{name: "another node", mutate: func(c *nodeCase) { c.pod.Spec.NodeName = "other" }, want: forbidden + "node requested token bound to a pod scheduled on a different node", asked: "ci/job"},
		{name: "not scheduled", mutate: func(c *nodeCase) { c.pod.Spec.NodeName = "" }, want: forbidden + "node requested token bound to a pod scheduled on a different node", asked: "ci/job"},

		{name: "two audiences", mutate: func(c *nodeCase) { c.ask("a", "b") }, want: forbidden + "node may only request 0 or 1 audiences", asked: "ci/job"},
		{name: "two audiences, not checked", mutate: func(c *nodeCase) { c.cfg.AnyAudience = true; c.ask("a", "b") }, asked: "ci/job"},
		{name: "no default token volume", mutate: func(c *nodeCase) { c.pod.Spec.Volumes = nil }, want: forbidden + `system:node:worker is not authorized to request tokens for audience ""`, asked: "ci/job"},
		{name: "a projected audience", mutate: func(c *nodeCase) {
			c.pod.Spec.Volumes[1].Projected.Sources[0].ServiceAccountToken.Audience = "vault"
			c.ask("vault")
		}, asked: "ci/job"},
		{name: "an audience that isn't projected", mutate: func(c *nodeCase) { c.ask("vault") }, want: forbidden + `system:node:worker is not authorized to request tokens for audience "vault"`, asked: "ci/job"},
		{name: "a driver's audience", mutate: func(c *nodeCase) {
			c.ask("vault")
			c.mount(corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: "csi.example"}})
		}, asked: "ci/job csi.example"},
		{name: "a claim's", mutate: func(c *nodeCase) { c.ask("vault"); c.mount(claim("data")) }, asked: "ci/job ci/data volume csi.example"},
		{name: "an ephemeral claim's", mutate: func(c *nodeCase) { c.ask("vault"); c.mount(ephemeral) }, asked: "ci/job ci/job-scratch volume csi.example"},
		{name: "an in-tree volume's", mutate: func(c *nodeCase) { c.ask("gcp"); c.mount(claim("disk")) }, asked: "ci/job ci/disk disk pd.csi.storage.gke.io"},
		{name: "an in-tree inline volume's", mutate: func(c *nodeCase) {
			c.ask("gcp")
			c.mount(corev1.VolumeSource{GCEPersistentDisk: &corev1.GCEPersistentDiskVolumeSource{}})
		}, asked: "ci/job pd.csi.storage.gke.io"},
		{name: "a volume without a driver", mutate: func(c *nodeCase) { c.ask("vault"); c.mount(claim("files")) },
			want: forbidden + `system:node:worker is not authorized to request tokens for audience "vault"`, asked: "ci/job ci/files files"},
		{name: "the driver asked once", mutate: func(c *nodeCase) { c.ask("other"); c.mount(claim("data")); c.mount(ephemeral) },
			want:  forbidden + `system:node:worker is not authorized to request tokens for audience "other"`,
			asked: "ci/job ci/data volume csi.example ci/job-scratch volume"},
		{name: "a claim that isn't there", mutate: func(c *nodeCase) { c.ask("vault"); c.mount(claim("gone")) },
			want: forbidden + `error validating audience "vault": persistentvolumeclaims "gone" not found`, asked: "ci/job ci/gone"},
		{name: "a claim that is a path", mutate: func(c *nodeCase) { c.ask("vault"); c.mount(claim("../x")) },
			want: forbidden + `error validating audience "vault": persistentvolumeclaims "../x" not found`, asked: "ci/job"},
		{name: "an unbound claim", mutate: func(c *nodeCase) { c.ask("vault"); c.mount(claim("unbound")) },
			want: forbidden + `error validating audience "vault": persistentvolumes "" not found`, asked: "ci/job ci/unbound"},
		{name: "a driver that isn't there, and one that grants it", mutate: func(c *nodeCase) {
			c.ask("vault")
			c.mount(corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: "gone"}})
			c.mount(claim("data"))
		}, asked: "ci/job gone ci/data volume csi.example"},
		{name: "no getters", mutate: func(c *nodeCase) {
			c.cfg.CSIDrivers, c.cfg.PersistentVolumeClaims, c.cfg.PersistentVolumes = nil, nil, nil
			c.ask("vault")
			c.mount(claim("data"))
			c.mount(corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: "csi.example"}})
		}, want: forbidden + `system:node:worker is not authorized to request tokens for audience "vault"`, asked: "ci/job"},
		{name: "no getters of claims", mutate: func(c *nodeCase) {
			c.cfg.PersistentVolumeClaims, c.cfg.PersistentVolumes = nil, nil
			c.ask("vault")
			c.mount(claim("data"))
		}, want: forbidden + `system:node:worker is not authorized to request tokens for audience "vault"`, asked: "ci/job"},
		{name: "an ephemeral volume without a claim", mutate: func(c *nodeCase) {
			c.ask("vault")
			c.mount(corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}})
		}, want: forbidden + `system:node:worker is not authorized to request tokens for audience "vault"`, asked: "ci/job"},
		{name: "a driver that isn't there", mutate: func(c *nodeCase) {
			c.ask("vault")
			c.mount(corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: "gone"}})
		}, want: forbidden + `error validating audience "vault": csidrivers.storage.k8s.io "gone" not found`, asked: "ci/job gone"},
		{name: "authorized", mutate: func(c *nodeCase) {
			c.ask("registry")
			c.cfg.AuthorizeAudience = func(_ context.Context, node authenticationv1.UserInfo, namespace, name, audience string) (bool, error) {
				return node.Username == "system:node:worker" && namespace == "ci" && name == "builder" && audience == "registry", errors.New("beside")
			}
		}, asked: "ci/job"},
		{name: "not authorized", mutate: func(c *nodeCase) {
			c.ask("registry")
			c.cfg.AuthorizeAudience = func(context.Context, authenticationv1.UserInfo, string, string, string) (bool, error) {
				return false, nil
			}
		}, want: forbidden + `system:node:worker is not authorized to request tokens for audience "registry"`, asked: "ci/job"},
		{name: "the authorizer fails", mutate: func(c *nodeCase) {
			c.ask("registry")
			c.cfg.AuthorizeAudience = func(context.Context, authenticationv1.UserInfo, string, string, string) (bool, error) {
				return false, down
			}
		}, want: forbidden + `error authorizing system:node:worker to request tokens for audience "registry": down`, asked: "ci/job"},
		{name: "authorized although a driver isn't there", mutate: func(c *nodeCase) {
			c.ask("registry")
			c.mount(claim("gone"))
			c.cfg.AuthorizeAudience = func(context.Context, authenticationv1.UserInfo, string, string, string) (bool, error) {
				return true, nil
			}
		}, asked: "ci/job ci/gone"}, // NOD-19
		{name: "neither authorized nor looked up", mutate: func(c *nodeCase) {
			c.ask("registry")
			c.mount(claim("gone"))
			c.cfg.AuthorizeAudience = func(context.Context, authenticationv1.UserInfo, string, string, string) (bool, error) {
				return false, nil
			}
		}, want: forbidden + `system:node:worker is not authorized to request tokens for audience "registry"; error validating audience "registry": persistentvolumeclaims "gone" not found`,
			asked: "ci/job ci/gone"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newNodeCase()
			if tt.mutate != nil {
				tt.mutate(c)
			}
			admit, err := tokenrequest.NewNodeRule(c.cfg)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if err := admit(t.Context(), "ci", "builder", c.request); err != nil {
				got = err.Error()
				if !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err) {
					t.Errorf("%v is neither Forbidden nor NotFound", err)
				}
			}
			if got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
			if asked := strings.Join(c.cluster.asked, " "); asked != tt.asked {
				t.Errorf("looked up %q, want %q", asked, tt.asked)
			}
		})
	}
}

// NOD-18: the volumes of plugins that CSI drivers have replaced, in pods and behind claims.
func TestNodeRuleInTree(t *testing.T) {
	for driver, source := range map[string]struct {
		inline corev1.VolumeSource
		volume corev1.PersistentVolumeSource
	}{
		"pd.csi.storage.gke.io":    {corev1.VolumeSource{GCEPersistentDisk: &corev1.GCEPersistentDiskVolumeSource{}}, corev1.PersistentVolumeSource{GCEPersistentDisk: &corev1.GCEPersistentDiskVolumeSource{}}},
		"ebs.csi.aws.com":          {corev1.VolumeSource{AWSElasticBlockStore: &corev1.AWSElasticBlockStoreVolumeSource{}}, corev1.PersistentVolumeSource{AWSElasticBlockStore: &corev1.AWSElasticBlockStoreVolumeSource{}}},
		"cinder.csi.openstack.org": {corev1.VolumeSource{Cinder: &corev1.CinderVolumeSource{}}, corev1.PersistentVolumeSource{Cinder: &corev1.CinderPersistentVolumeSource{}}},
		"disk.csi.azure.com":       {corev1.VolumeSource{AzureDisk: &corev1.AzureDiskVolumeSource{}}, corev1.PersistentVolumeSource{AzureDisk: &corev1.AzureDiskVolumeSource{}}},
		"file.csi.azure.com":       {corev1.VolumeSource{AzureFile: &corev1.AzureFileVolumeSource{}}, corev1.PersistentVolumeSource{AzureFile: &corev1.AzureFilePersistentVolumeSource{}}},
		"csi.vsphere.vmware.com":   {corev1.VolumeSource{VsphereVolume: &corev1.VsphereVirtualDiskVolumeSource{}}, corev1.PersistentVolumeSource{VsphereVolume: &corev1.VsphereVirtualDiskVolumeSource{}}},
		"pxd.portworx.com":         {corev1.VolumeSource{PortworxVolume: &corev1.PortworxVolumeSource{}}, corev1.PersistentVolumeSource{PortworxVolume: &corev1.PortworxVolumeSource{}}},
	} {
		for _, mounted := range []corev1.VolumeSource{source.inline, claim("data")} {
			c := newNodeCase()
			c.cluster.volumes["volume"] = source.volume
			c.cluster.drivers = map[string][]string{driver: {"cloud"}}
			c.ask("cloud")
			c.mount(mounted)
			if err := must(tokenrequest.NewNodeRule(c.cfg))(t.Context(), "ci", "builder", c.request); err != nil {
				t.Errorf("%s: %v, want its audience to be allowed", driver, err)
			}
		}
	}
}

// A pod with thousands of claims doesn't cost thousands of lookups. Volumes without a
// claim or a driver don't count.
func TestNodeRuleLookups(t *testing.T) {
	c := newNodeCase()
	c.ask("vault")
	for i := range 5000 {
		c.mount(claim(fmt.Sprintf("gone-%d", i)))
	}
	admit := must(tokenrequest.NewNodeRule(c.cfg))
	if err := admit(t.Context(), "ci", "builder", c.request); !apierrors.IsForbidden(err) {
		t.Errorf("got %v, want Forbidden", err)
	}
	if len(c.cluster.asked) != 1+64 {
		t.Errorf("%d lookups, want one of the pod and 64 of claims", len(c.cluster.asked))
	}

	for granting, want := range map[int]string{64: "", 65: "the pod has more than 64 volumes of claims and CSI drivers"} {
		c := newNodeCase()
		c.ask("vault")
		for i := range granting - 1 {
			c.mount(claim(fmt.Sprintf("gone-%d", i)))
			c.mount(corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}})
		}
		c.mount(claim("data"))
		err := must(tokenrequest.NewNodeRule(c.cfg))(t.Context(), "ci", "builder", c.request)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("the %dth claim has the audience: %v, want %q", granting, err, want)
		}
	}
}

func TestNewNodeRule(t *testing.T) {
	var none *cluster
	for _, tt := range []struct {
		cfg  tokenrequest.NodeRuleConfig
		want string
	}{
		{tokenrequest.NodeRuleConfig{}, "tokenrequest: NodeRuleConfig.User is required, want a function that returns the user of a request\ntokenrequest: NodeRuleConfig.Pods is required, want a PodGetter"},
		{func() tokenrequest.NodeRuleConfig { c := newNodeCase().cfg; c.CSIDrivers = nil; return c }(),
			"tokenrequest: NodeRuleConfig.PersistentVolumeClaims is set without PersistentVolumes or CSIDrivers, or they without it, want all"},
		{func() tokenrequest.NodeRuleConfig { c := newNodeCase().cfg; c.PersistentVolumes = nil; return c }(),
			"tokenrequest: NodeRuleConfig.PersistentVolumeClaims is set without PersistentVolumes or CSIDrivers, or they without it, want all"},
		{func() tokenrequest.NodeRuleConfig {
			c := newNodeCase().cfg
			c.CSIDrivers, c.PersistentVolumeClaims, c.PersistentVolumes = none, none, none
			return c
		}(), "tokenrequest: NodeRuleConfig.CSIDrivers is required, want a CSIDriverGetter\ntokenrequest: NodeRuleConfig.PersistentVolumeClaims is required, want a PersistentVolumeClaimGetter\n" +
			"tokenrequest: NodeRuleConfig.PersistentVolumes is required, want a PersistentVolumeGetter"},
	} {
		_, err := tokenrequest.NewNodeRule(tt.cfg)
		if _, ok := errors.AsType[*tokenrequest.ConfigError](err); !ok || err.Error() != tt.want {
			t.Errorf("NewNodeRule() =\n%v\nwant\n%s", err, tt.want)
		}
	}
}

// Admit is called before anything is looked up, with the request as it was sent.
func TestAdmit(t *testing.T) {
	world := tokentest.NewWorld()
	cfg := tokenrequest.Config{Issuer: tokentest.NewIssuer(t, nil), APIAudiences: []string{api}, ServiceAccounts: world}
	for _, want := range []error{errors.New("no"), apierrors.NewNotFound(corev1.Resource("pod"), "x"), nil} {
		cfg.Admit = func(_ context.Context, namespace, name string, request *authenticationv1.TokenRequest) error {
			if namespace != "ci" || name != "builder" || len(request.Spec.Audiences) > 0 || request.Spec.ExpirationSeconds != nil || world.Lookups > 0 {
				t.Errorf("Admit got %s/%s, %+v after %d lookups", namespace, name, request.Spec, world.Lookups)
			}
			request.Spec.Audiences = []string{"changed"}
			return want
		}
		got, err := must(tokenrequest.New(cfg)).Create(t.Context(), "ci", "builder", &authenticationv1.TokenRequest{})
		if want == nil {
			if err != nil || got == nil || got.Status.Token == "" || got.Spec.Audiences[0] != api {
				t.Errorf("Create() of what Admit allows = %+v, %v, want a token for the API", got, err)
			}
			continue
		}
		if apierrors.IsNotFound(want) && err != want || !apierrors.IsNotFound(want) && (!apierrors.IsForbidden(err) || !strings.HasSuffix(err.Error(), ": no")) {
			t.Errorf("Create() = %v, want %v", err, want)
		}
	}
}

// Let nodes request tokens for their pods only.
func ExampleNewNodeRule() {
	type userKey struct{} // of the context of a request
	pods := tokentest.NewWorld()
	admit, err := tokenrequest.NewNodeRule(tokenrequest.NodeRuleConfig{
		User: func(ctx context.Context) (authenticationv1.UserInfo, bool) {
			user, ok := ctx.Value(userKey{}).(authenticationv1.UserInfo)
			return user, ok
		},
		Pods: pods,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	// requester, err := tokenrequest.New(tokenrequest.Config{…, Admit: admit})

	ctx := context.WithValue(context.Background(), userKey{}, authenticationv1.UserInfo{Username: "system:node:other", Groups: []string{"system:nodes"}})
	err = admit(ctx, "ci", "builder", &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: "job", UID: "uid-of-job"},
	}})
	fmt.Println(err)

	// Output:
	// serviceaccounts "builder" is forbidden: node requested token bound to a pod scheduled on a different node
}
