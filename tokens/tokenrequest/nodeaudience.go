package tokenrequest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"

	"github.com/kubesa/serviceaccount/internal/contract"
	"github.com/kubesa/serviceaccount/internal/names"
)

// A CSIDriverGetter looks up CSI drivers, whose spec.tokenRequests have the audiences
// that the kubelet requests for them. If there is none, the error is a NotFound.
type CSIDriverGetter interface {
	GetCSIDriver(ctx context.Context, name string) (*storagev1.CSIDriver, error)
}

// A PersistentVolumeClaimGetter looks up claims. If there is none, the error is a
// NotFound.
type PersistentVolumeClaimGetter interface {
	GetPersistentVolumeClaim(ctx context.Context, namespace, name string) (*corev1.PersistentVolumeClaim, error)
}

// A PersistentVolumeGetter looks up volumes. If there is none, the error is a
// NotFound.
type PersistentVolumeGetter interface {
	GetPersistentVolume(ctx context.Context, name string) (*corev1.PersistentVolume, error)
}

// maxClaims bounds the volumes of a pod whose claims or drivers are looked up, since
// whoever writes the pod decides how many it has, and each costs up to three lookups.
const maxClaims = 64

// admitAudience denies a token of pod with audiences (NOD-12 to NOD-21).
func (cfg *NodeRuleConfig) admitAudience(ctx context.Context, user authenticationv1.UserInfo, namespace, name string, pod *corev1.Pod, audiences []string) error {
	if len(audiences) > 1 {
		return errors.New("node may only request 0 or 1 audiences")
	}
	audience := "" // that of the default token volume
	if len(audiences) == 1 {
		audience = audiences[0]
	}
	if projectsAudience(pod, audience) {
		return nil
	}
	granted, failed := cfg.driversGrant(ctx, namespace, pod, audience)
	if granted {
		return nil
	}
	if cfg.AuthorizeAudience != nil {
		allowed, err := cfg.AuthorizeAudience(ctx, user, namespace, name, audience)
		if allowed {
			return nil
		}
		if err != nil {
			return withLookups(fmt.Errorf("error authorizing %s to request tokens for audience %q: %w", user.Username, audience, err), audience, failed)
		}
	}
	if failed != nil && cfg.AuthorizeAudience == nil {
		return fmt.Errorf("error validating audience %q: %w", audience, failed)
	}
	return withLookups(fmt.Errorf("%s is not authorized to request tokens for audience %q", user.Username, audience), audience, failed)
}

// withLookups adds to a denial what could not be looked up: that may have been what
// allows audience.
func withLookups(denial error, audience string, failed error) error {
	if failed == nil {
		return denial
	}
	return fmt.Errorf("%w; error validating audience %q: %w", denial, audience, failed)
}

// projectsAudience reports whether a projected volume of pod has a token of audience,
// byte for byte (NOD-13, NOD-14).
func projectsAudience(pod *corev1.Pod, audience string) bool {
	for i := range pod.Spec.Volumes {
		projected := pod.Spec.Volumes[i].Projected
		if projected == nil {
			continue
		}
		for j := range projected.Sources {
			if token := projected.Sources[j].ServiceAccountToken; token != nil && token.Audience == audience {
				return true
			}
		}
	}
	return false
}

// driversGrant reports whether the CSI driver of a volume of pod requests tokens of
// audience. The volumes are looked at in order; the first that grants it ends the
// search, whatever failed before (NOD-15 to NOD-19).
func (cfg *NodeRuleConfig) driversGrant(ctx context.Context, namespace string, pod *corev1.Pod, audience string) (granted bool, failed error) {
	if cfg.CSIDrivers == nil {
		return false, nil
	}
	var errs []error
	asked := map[string]bool{} // drivers
	lookups := 0
	for i := range pod.Spec.Volumes {
		source := driverSourceOf(pod, &pod.Spec.Volumes[i])
		if source == (driverSource{}) {
			continue
		}
		if lookups++; lookups > maxClaims {
			errs = append(errs, fmt.Errorf("the pod has more than %d volumes of claims and CSI drivers", maxClaims))
			break
		}
		driver, err := cfg.driverOf(ctx, namespace, source)
		if driver != "" && !asked[driver] {
			asked[driver] = true
			granted, err = cfg.driverGrants(ctx, driver, audience)
		}
		if granted {
			return true, nil
		}
		errs = append(errs, err)
	}
	return false, utilerrors.NewAggregate(errs) // without those that are nil
}

// A driverSource says where the CSI driver of a volume stands: it is known, or the
// claim's. The zero value is a volume without.
type driverSource struct{ driver, claim string }

// driverSourceOf looks at volume in the order of NOD-18.
func driverSourceOf(pod *corev1.Pod, volume *corev1.Volume) driverSource {
	switch {
	case volume.Ephemeral != nil && volume.Ephemeral.VolumeClaimTemplate != nil: // NOD-17
		return driverSource{claim: pod.Name + "-" + volume.Name}
	case volume.PersistentVolumeClaim != nil:
		return driverSource{claim: volume.PersistentVolumeClaim.ClaimName}
	case volume.CSI != nil:
		return driverSource{driver: volume.CSI.Driver}
	}
	s := &volume.VolumeSource
	return driverSource{driver: inTreeDriver(s.GCEPersistentDisk != nil, s.AWSElasticBlockStore != nil, s.Cinder != nil, s.AzureDisk != nil, s.AzureFile != nil, s.VsphereVolume != nil, s.PortworxVolume != nil)}
}

// inTreeDriver returns the CSI driver that has replaced a volume plugin of Kubernetes,
// empty for none.
func inTreeDriver(gce, aws, cinder, azureDisk, azureFile, vsphere, portworx bool) string {
	switch {
	case gce:
		return "pd.csi.storage.gke.io"
	case aws:
		return "ebs.csi.aws.com"
	case cinder:
		return "cinder.csi.openstack.org"
	case azureDisk:
		return "disk.csi.azure.com"
	case azureFile:
		return "file.csi.azure.com"
	case vsphere:
		return "csi.vsphere.vmware.com"
	case portworx:
		return "pxd.portworx.com"
	}
	return ""
}

// driverOf returns the CSI driver of source, empty if its volume has none (NOD-16).
func (cfg *NodeRuleConfig) driverOf(ctx context.Context, namespace string, source driverSource) (string, error) {
	if source.claim == "" || cfg.PersistentVolumeClaims == nil {
		return source.driver, nil
	}
	claim, err := lookUp("persistentvolumeclaims", source.claim, func() (*corev1.PersistentVolumeClaim, error) {
		return cfg.PersistentVolumeClaims.GetPersistentVolumeClaim(ctx, namespace, source.claim)
	})
	if err != nil {
		return "", err
	}
	name := claim.Spec.VolumeName
	volume, err := lookUp("persistentvolumes", name, func() (*corev1.PersistentVolume, error) {
		return cfg.PersistentVolumes.GetPersistentVolume(ctx, name)
	})
	if err != nil {
		return "", err
	}
	s := &volume.Spec.PersistentVolumeSource
	if s.CSI != nil {
		return s.CSI.Driver, nil
	}
	return inTreeDriver(s.GCEPersistentDisk != nil, s.AWSElasticBlockStore != nil, s.Cinder != nil, s.AzureDisk != nil, s.AzureFile != nil, s.VsphereVolume != nil, s.PortworxVolume != nil), nil
}

func (cfg *NodeRuleConfig) driverGrants(ctx context.Context, driver, audience string) (bool, error) {
	object, err := lookUp("csidrivers", driver, func() (*storagev1.CSIDriver, error) { return cfg.CSIDrivers.GetCSIDriver(ctx, driver) })
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(object.Spec.TokenRequests, func(r storagev1.TokenRequest) bool { return r.Audience == audience }), nil
}

// lookUp calls get unless there can't be an object called name.
func lookUp[T any](resource, name string, get func() (*T, error)) (*T, error) {
	if !names.Valid(name) {
		return nil, apierrors.NewNotFound(corev1.Resource(resource), name)
	}
	return contract.Require(get())
}
