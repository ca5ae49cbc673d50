package keeper

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubesa/serviceaccount/internal/names"
)

// A TrustBundleReader reads ClusterTrustBundles. It may read from a cache.
type TrustBundleReader interface {
	// GetClusterTrustBundle returns an error that is NotFound if there is none of that name.
	GetClusterTrustBundle(ctx context.Context, name string) (*certificatesv1.ClusterTrustBundle, error)

	// ListClusterTrustBundles returns those of the signer.
	ListClusterTrustBundles(ctx context.Context, signerName string) ([]*certificatesv1.ClusterTrustBundle, error)
}

// A NoTrustBundleError means that no ClusterTrustBundle of the signer matches the label
// selector of a source that isn't optional: try again when there is one.
type NoTrustBundleError struct {
	SignerName string
	Selector   string // as kubectl has it; if empty, all of the signer match
}

func (e *NoTrustBundleError) Error() string {
	if e.Selector == "" {
		return fmt.Sprintf("there is no ClusterTrustBundle of the signer %q", e.SignerName)
	}
	return fmt.Sprintf("no ClusterTrustBundle of the signer %q matches the label selector %q", e.SignerName, e.Selector)
}

// addTrustBundle adds the certificates of ClusterTrustBundles: an empty file if there are
// none and there need not be any.
func (p *payload) addTrustBundle(ctx context.Context, source *corev1.ClusterTrustBundleProjection) error {
	bundles, err := p.selectBundles(ctx, source)
	if err != nil {
		return err
	}
	for _, b := range bundles {
		if err := p.spend(len(b.Spec.TrustBundle)); err != nil {
			return err
		}
	}
	return p.setOwned(source.Path, certificatesOf(bundles))
}

// selectBundles returns those that source names or selects. As for a kubelet, a name has
// precedence, and without a label selector nothing matches.
func (p *payload) selectBundles(ctx context.Context, source *corev1.ClusterTrustBundleProjection) ([]*certificatesv1.ClusterTrustBundle, error) {
	missing := isNil(p.cfg.TrustBundles)
	switch {
	case source.Name != nil:
		bundle, err := optional(source.Optional, *source.Name, bundleName, func() (*certificatesv1.ClusterTrustBundle, error) {
			if missing {
				return nil, errNoTrustBundles
			}
			return p.trustBundles.of(p, *source.Name, func() (*certificatesv1.ClusterTrustBundle, error) {
				return p.cfg.TrustBundles.GetClusterTrustBundle(ctx, *source.Name)
			})
		})
		if err != nil {
			return nil, fmt.Errorf("the ClusterTrustBundle %q: %w", *source.Name, err)
		}
		return []*certificatesv1.ClusterTrustBundle{bundle}, nil
	case source.SignerName == nil || *source.SignerName == "":
		return nil, errors.New("a source of ClusterTrustBundles needs a name or a signerName")
	}
	signer, may := *source.SignerName, source.Optional != nil && *source.Optional
	if source.LabelSelector == nil {
		if may {
			return nil, nil
		}
		return nil, fmt.Errorf("the ClusterTrustBundles of %q: without a label selector none is selected, want an empty one for all", signer)
	}
	selector, err := metav1.LabelSelectorAsSelector(source.LabelSelector)
	if err != nil {
		return nil, fmt.Errorf("the label selector of the ClusterTrustBundles of %q: %w", signer, err)
	}
	if missing {
		return nil, fmt.Errorf("the ClusterTrustBundles of %q: %w", signer, errNoTrustBundles)
	}
	bundles, err := p.bundleLists.of(p, signer, func() ([]*certificatesv1.ClusterTrustBundle, error) {
		return p.cfg.TrustBundles.ListClusterTrustBundles(ctx, signer)
	})
	if err != nil {
		return nil, fmt.Errorf("the ClusterTrustBundles of %q: %w", signer, err)
	}
	if err := p.spend(bytesPerBundle * len(bundles)); err != nil {
		return nil, err
	}
	var matching []*certificatesv1.ClusterTrustBundle // bundles may be a cache's
	for _, b := range bundles {
		if b != nil && b.Spec.SignerName == signer && selector.Matches(labels.Set(b.Labels)) {
			matching = append(matching, b)
		}
	}
	if len(matching) == 0 && !may {
		return nil, &NoTrustBundleError{SignerName: signer, Selector: selector.String()}
	}
	return matching, nil
}

// bytesPerBundle is what one more look at a bundle's labels counts as.
const bytesPerBundle = 64

var errNoTrustBundles = errors.New("there is no reader of ClusterTrustBundles")

// bundleName reports whether a ClusterTrustBundle can have this name: that of a signer's
// begins with the signer, which has colons for slashes (CTB-22).
func bundleName(name string) bool {
	return !slices.ContainsFunc(strings.Split(name, ":"), func(part string) bool { return !names.Valid(part) })
}

// certificatesOf returns each certificate of bundles once, as PEM without anything else. A
// kubelet promises no order; here it is that of the content, so that equal bundles make
// equal files.
func certificatesOf(bundles []*certificatesv1.ClusterTrustBundle) []byte {
	certificates := map[string]struct{}{}
	for _, b := range bundles {
		block, rest := pem.Decode([]byte(b.Spec.TrustBundle))
		for ; block != nil; block, rest = pem.Decode(rest) {
			if block.Type == "CERTIFICATE" {
				certificates[string(block.Bytes)] = struct{}{}
			}
		}
	}
	var data []byte
	for _, certificate := range slices.Sorted(maps.Keys(certificates)) {
		data = append(data, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte(certificate)})...)
	}
	return data
}
