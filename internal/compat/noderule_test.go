package compat

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	authenticationapi "k8s.io/kubernetes/pkg/apis/authentication"
	authenticationapiv1 "k8s.io/kubernetes/pkg/apis/authentication/v1"
	coreapi "k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/auth/nodeidentifier"
	"k8s.io/kubernetes/plugin/pkg/admission/noderestriction"

	"github.com/kubesa/serviceaccount/internal/compat/generate"
	"github.com/kubesa/serviceaccount/tokens/tokenrequest"
)

// A nodeCase is a TokenRequest, who sends it, and what is there.
type nodeCase struct {
	user       authenticationv1.UserInfo
	request    *authenticationv1.TokenRequest
	pod        *corev1.Pod // nil for none
	claims     []*corev1.PersistentVolumeClaim
	volumes    []*corev1.PersistentVolume
	drivers    []*storagev1.CSIDriver
	authorized authorizer.Decision
	authErr    error
}

var nodeAudiences = []string{"", "vault", "store", "api"}

func newNodeCase(s *generate.Source) *nodeCase {
	c := &nodeCase{
		user: authenticationv1.UserInfo{
			Username: generate.OneOf(s, "system:node:a", "system:node:a", "system:node:a", "system:node:b", "system:node:", "jane"),
			Groups:   generate.OneOf(s, []string{"system:nodes"}, []string{"system:nodes", "x"}, []string{"x", "system:nodes"}, nil),
		},
		request:    &authenticationv1.TokenRequest{},
		authorized: generate.OneOf(s, authorizer.DecisionNoOpinion, authorizer.DecisionDeny, authorizer.DecisionAllow),
	}
	if s.Chance(20) {
		c.authErr = errors.New("authorizer down")
	}
	c.request.Spec.Audiences = generate.ListOf(s, 2, func() string { return generate.OneOf(s, nodeAudiences...) })
	if !s.Chance(10) {
		c.request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{
			APIVersion: generate.OneOf(s, "v1", "v1", "v1", "v1", "", "core/v1"),
			Kind:       generate.OneOf(s, "Pod", "Pod", "Pod", "Pod", "pod", "Secret"),
			Name:       generate.OneOf(s, "job", "job", "job", "job", "other", ""),
			UID:        types.UID(generate.OneOf(s, "1", "1", "1", "1", "2", "")),
		}
	}
	if !s.Chance(10) {
		c.pod = &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "job", UID: "1"},
			Spec:       corev1.PodSpec{NodeName: generate.OneOf(s, "a", "a", "a", "b", "")},
		}
		c.pod.Spec.Volumes = generate.ListOf(s, 4, func() corev1.Volume { return nodeVolume(s) })
	}
	if s.Chance(60) { // that the audience decides
		c.user = authenticationv1.UserInfo{Username: "system:node:a", Groups: []string{"system:nodes"}}
		c.request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: "job", UID: "1"}
		if c.pod != nil {
			c.pod.Spec.NodeName = "a"
		}
		c.request.Spec.Audiences = c.request.Spec.Audiences[:min(1, len(c.request.Spec.Audiences))]
	}
	names := []string{"data", "job-x", "disk", "none"}
	for _, name := range names {
		if s.Chance(75) {
			c.claims = append(c.claims, &corev1.PersistentVolumeClaim{
				ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: name},
				Spec:       corev1.PersistentVolumeClaimSpec{VolumeName: generate.OneOf(s, "csi", "disk", "nfs", "gone", "")},
			})
		}
	}
	for name, source := range map[string]corev1.PersistentVolumeSource{
		"csi":  {CSI: &corev1.CSIPersistentVolumeSource{Driver: "csi.example"}},
		"disk": {GCEPersistentDisk: &corev1.GCEPersistentDiskVolumeSource{PDName: "d"}},
		"nfs":  {NFS: &corev1.NFSVolumeSource{Server: "s", Path: "/"}},
	} {
		c.volumes = append(c.volumes, &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PersistentVolumeSpec{PersistentVolumeSource: source}})
	}
	for _, name := range []string{"csi.example", "pd.csi.storage.gke.io", "ebs.csi.aws.com"} {
		if s.Chance(75) {
			driver := &storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: name}}
			driver.Spec.TokenRequests = generate.ListOf(s, 2, func() storagev1.TokenRequest {
				return storagev1.TokenRequest{Audience: generate.OneOf(s, nodeAudiences...)}
			})
			c.drivers = append(c.drivers, driver)
		}
	}
	return c
}

func nodeVolume(s *generate.Source) corev1.Volume {
	volume := corev1.Volume{Name: "x"}
	projected := &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
		{ConfigMap: &corev1.ConfigMapProjection{}},
		{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: generate.OneOf(s, nodeAudiences...)}},
	}}
	claim := func(name string) *corev1.PersistentVolumeClaimVolumeSource {
		return &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}
	}
	volume.VolumeSource = generate.OneOf(s,
		corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}},
		corev1.VolumeSource{Projected: projected},
		corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: generate.OneOf(s, "csi.example", "gone.example")}},
		corev1.VolumeSource{PersistentVolumeClaim: claim("data")},
		corev1.VolumeSource{PersistentVolumeClaim: claim("gone")},
		corev1.VolumeSource{PersistentVolumeClaim: claim("disk")},
		corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{}}},
		corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}},
		corev1.VolumeSource{GCEPersistentDisk: &corev1.GCEPersistentDiskVolumeSource{PDName: "d"}},
		corev1.VolumeSource{AWSElasticBlockStore: &corev1.AWSElasticBlockStoreVolumeSource{VolumeID: "v"}},
		corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{}},
	)
	return volume
}

// Authorize is the authorizer of upstream's plugin.
func (c *nodeCase) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if a.GetVerb() != "request-serviceaccounts-token-audience" || a.GetAPIGroup() != "" || a.GetNamespace() != "ci" || a.GetName() != "builder" || a.GetSubresource() != "" {
		return authorizer.DecisionDeny, "", fmt.Errorf("unexpected attributes %+v", a)
	}
	return c.authorized, "", c.authErr
}

func (c *nodeCase) upstream(ctx context.Context) error {
	plugin := noderestriction.NewPlugin(nodeidentifier.NewDefaultNodeIdentifier())
	plugin.InspectFeatureGates(utilfeature.DefaultFeatureGate)
	factory := informers.NewSharedInformerFactory(nil, 0)
	add := func(indexer cache.Indexer, object any) {
		if err := indexer.Add(object); err != nil {
			panic(err)
		}
	}
	if c.pod != nil {
		add(factory.Core().V1().Pods().Informer().GetIndexer(), c.pod)
	}
	for _, claim := range c.claims {
		add(factory.Core().V1().PersistentVolumeClaims().Informer().GetIndexer(), claim)
	}
	for _, volume := range c.volumes {
		add(factory.Core().V1().PersistentVolumes().Informer().GetIndexer(), volume)
	}
	for _, driver := range c.drivers {
		add(factory.Storage().V1().CSIDrivers().Informer().GetIndexer(), driver)
	}
	plugin.SetExternalKubeInformerFactory(factory)
	plugin.SetUnconditionalAuthorizer(c)
	if err := plugin.ValidateInitialization(); err != nil {
		panic(err)
	}
	internal := &authenticationapi.TokenRequest{}
	if err := authenticationapiv1.Convert_v1_TokenRequest_To_authentication_TokenRequest(c.request.DeepCopy(), internal, nil); err != nil {
		panic(err)
	}
	attributes := admission.NewAttributesRecord(internal, nil, authenticationapi.SchemeGroupVersion.WithKind("TokenRequest"), "ci", "builder",
		coreapi.SchemeGroupVersion.WithResource("serviceaccounts"), "token", admission.Create, &metav1.CreateOptions{}, false,
		&user.DefaultInfo{Name: c.user.Username, Groups: c.user.Groups})
	return plugin.Admit(ctx, attributes, nil)
}

func (c *nodeCase) GetPod(_ context.Context, _, name string) (*corev1.Pod, error) {
	if c.pod == nil || c.pod.Name != name {
		return nil, apierrors.NewNotFound(corev1.Resource("pods"), name)
	}
	return c.pod, nil
}

func (c *nodeCase) GetPersistentVolumeClaim(_ context.Context, _, name string) (*corev1.PersistentVolumeClaim, error) {
	return byName("persistentvolumeclaim", name, c.claims)
}

func (c *nodeCase) GetPersistentVolume(_ context.Context, name string) (*corev1.PersistentVolume, error) {
	return byName("persistentvolume", name, c.volumes)
}

func (c *nodeCase) GetCSIDriver(_ context.Context, name string) (*storagev1.CSIDriver, error) {
	return byName("csidriver", name, c.drivers)
}

func byName[T metav1.Object](resource, name string, list []T) (T, error) {
	for _, object := range list {
		if object.GetName() == name {
			return object, nil
		}
	}
	var none T
	return none, apierrors.NewNotFound(corev1.Resource(resource), name)
}

func (c *nodeCase) ours(ctx context.Context) error {
	admit, err := tokenrequest.NewNodeRule(tokenrequest.NodeRuleConfig{
		User: func(context.Context) (authenticationv1.UserInfo, bool) { return c.user, true },
		Pods: c, CSIDrivers: c, PersistentVolumeClaims: c, PersistentVolumes: c,
		AuthorizeAudience: func(_ context.Context, _ authenticationv1.UserInfo, namespace, name, _ string) (bool, error) {
			return c.authorized == authorizer.DecisionAllow && namespace == "ci" && name == "builder", c.authErr
		},
	})
	if err != nil {
		panic(err)
	}
	return admit(ctx, "ci", "builder", c.request.DeepCopy())
}

// Nodes may request the same tokens here and at kube-apiserver, and are told the same,
// but that the authorizer is asked, too, if a volume can't be looked up (NOD-1 to NOD-21).
func TestNodeRule(t *testing.T) {
	var mu sync.Mutex
	counts := map[string]int{}
	count := func(kind string) {
		mu.Lock()
		defer mu.Unlock()
		counts[kind]++
	}
	generate.Check(t, generate.Count(3000, 300000), func() func(*generate.Source) error {
		return func(s *generate.Source) error {
			c := newNodeCase(s)
			upstream, ours := c.upstream(t.Context()), c.ours(t.Context())
			if upstream != nil && strings.Contains(upstream.Error(), "error validating audience") {
				count("a lookup failed")
				if c.authorized == authorizer.DecisionAllow {
					upstream = nil
				} else if ours != nil && strings.Contains(ours.Error(), "error validating audience") && apierrors.IsForbidden(ours) {
					return nil // the text has both
				}
			}
			if upstream == nil {
				count("allowed")
			} else {
				count("denied")
			}
			if (upstream == nil) != (ours == nil) || upstream != nil && (upstream.Error() != ours.Error() || apierrors.ReasonForError(upstream) != apierrors.ReasonForError(ours)) {
				return fmt.Errorf("%+v\n%+v\nupstream: %v\nours: %v", c, c.request.Spec, upstream, ours)
			}
			return nil
		}
	})
	t.Logf("%v", counts)
	for _, kind := range []string{"allowed", "denied", "a lookup failed"} {
		if counts[kind] == 0 {
			t.Errorf("no request was %s", kind)
		}
	}
}
