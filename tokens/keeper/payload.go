package keeper

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/contract"
	"github.com/kubesa/serviceaccount/internal/names"
	"github.com/kubesa/serviceaccount/tokens"
)

// A ConfigMapGetter reads ConfigMaps.
type ConfigMapGetter interface {
	GetConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error)
}

// PayloadConfig configures [Payload].
type PayloadConfig struct {
	// Mint is required for volumes with a token. It requests a token of the pod's
	// account, bound to the pod, for source: no audience means that of the API server.
	Mint func(ctx context.Context, pod *corev1.Pod, source *corev1.ServiceAccountTokenProjection) (*tokens.Token, error)

	// ConfigMaps and Secrets are required for volumes with such sources.
	ConfigMaps ConfigMapGetter
	Secrets    SecretGetter

	// TrustBundles is required for volumes with ClusterTrustBundles.
	TrustBundles TrustBundleReader
}

// A pod decides how many sources its volume has, and what they name.
const (
	maxCalls   = 64       // of Mint, getters and readers
	maxContent = 64 << 20 // bytes of what they return and of the files
)

var (
	errCalls   = fmt.Errorf("the volume has more than %d tokens and objects", maxCalls)
	errContent = fmt.Errorf("the volume is made of more than %d MiB", maxContent>>20)
)

// A SourceError is why one source of a projected volume has no files.
type SourceError struct {
	Source int // its index in the volume
	Err    error
}

func (e *SourceError) Error() string { return fmt.Sprintf("keeper: source %d: %v", e.Source, e.Err) }

// Unwrap returns e.Err.
func (e *SourceError) Unwrap() error { return e.Err }

// Payload returns the files of a projected volume of pod, and when the first of its
// tokens expires, zero if there is none. It is what a kubelet writes: [WriteVolume]
// writes it. Each object is looked up once, however many sources name it. A volume of more
// than 64 tokens and objects, or more than 64 MiB, is an error.
//
// A later source overwrites an earlier one at the same path. The certificates of several
// ClusterTrustBundles are in one file, each once, in an order of their own; a file of an
// optional source without bundles is empty.
//
// If a source fails, so does Payload, with a [*SourceError] for each, joined: a volume is
// whole or absent. An object that isn't there gives one that is NotFound, or is a
// [*NoTrustBundleError]: try again when it is. Pod certificates and resource fields aren't
// known, and are errors. No error holds a token.
func Payload(ctx context.Context, pod *corev1.Pod, volume *corev1.ProjectedVolumeSource, cfg PayloadConfig) (files map[string]File, expiry time.Time, err error) {
	if pod == nil || volume == nil {
		return nil, time.Time{}, errors.New("keeper: Payload needs a Pod and a projected volume")
	}
	p := &payload{cfg: cfg, pod: pod, files: map[string]File{}, mode: 0o644}
	if volume.DefaultMode != nil {
		p.mode = *volume.DefaultMode
	}
	var errs []error
	for i := range volume.Sources {
		err := p.add(ctx, &volume.Sources[i])
		if err != nil {
			errs = append(errs, &SourceError{i, err})
		}
		if errors.Is(err, errCalls) || errors.Is(err, errContent) {
			break
		}
	}
	if len(errs) > 0 {
		return nil, time.Time{}, errors.Join(errs...)
	}
	return p.files, p.expiry, nil
}

type payload struct {
	cfg    PayloadConfig
	pod    *corev1.Pod
	mode   int32
	files  map[string]File
	expiry time.Time
	calls  int // see maxCalls
	bytes  int // see maxContent

	// What was looked up: a pod may name one object any number of times.
	configMaps   lookups[*corev1.ConfigMap]
	secrets      lookups[*corev1.Secret]
	trustBundles lookups[*certificatesv1.ClusterTrustBundle]
	bundleLists  lookups[[]*certificatesv1.ClusterTrustBundle]
}

// lookups has the results of lookups by name.
type lookups[T any] map[string]func() (T, error)

// of returns the result for name, which get returns if it isn't there yet.
func (l *lookups[T]) of(p *payload, name string, get func() (T, error)) (T, error) {
	if *l == nil {
		*l = lookups[T]{}
	}
	if (*l)[name] == nil {
		if err := p.call(); err != nil {
			var none T
			return none, err
		}
		(*l)[name] = sync.OnceValues(get)
	}
	return (*l)[name]()
}

// call counts a call of Mint, a getter or a reader.
func (p *payload) call() error {
	if p.calls++; p.calls > maxCalls {
		return errCalls
	}
	return nil
}

// spend counts bytes that are read or written.
func (p *payload) spend(n int) error {
	if p.bytes += n; p.bytes > maxContent {
		return errContent
	}
	return nil
}

func (p *payload) set(path string, data []byte, mode *int32) error {
	m := p.mode
	if mode != nil {
		m = *mode
	}
	p.files[path] = File{Data: data, Mode: permissions(m)}
	return p.spend(len(path) + len(data))
}

// setOwned is set for a token or trust anchors, with the mode and the owner of KUB-31 to
// KUB-34.
func (p *payload) setOwned(path string, data []byte) error {
	if err := p.set(path, data, nil); err != nil {
		return err
	}
	file := p.files[path]
	file.UID = userOf(p.pod)
	if p.pod.Spec.SecurityContext != nil && p.pod.Spec.SecurityContext.FSGroup != nil {
		gid := int(*p.pod.Spec.SecurityContext.FSGroup)
		file.GID = &gid
	}
	switch {
	case file.GID != nil:
		file.Mode = 0o640
	case file.UID != nil:
		file.Mode = 0o600
	}
	p.files[path] = file
	return nil
}

// add adds the files of one source.
func (p *payload) add(ctx context.Context, source *corev1.VolumeProjection) error {
	switch {
	case source.ServiceAccountToken != nil:
		return p.addToken(ctx, source.ServiceAccountToken)
	case source.ConfigMap != nil:
		c := source.ConfigMap
		configMap, err := optional(c.Optional, c.Name, names.Valid, func() (*corev1.ConfigMap, error) {
			if isNil(p.cfg.ConfigMaps) {
				return nil, errors.New("there is no getter of ConfigMaps")
			}
			return p.configMaps.of(p, c.Name, func() (*corev1.ConfigMap, error) {
				return p.cfg.ConfigMaps.GetConfigMap(ctx, p.pod.Namespace, c.Name)
			})
		})
		if err != nil {
			return fmt.Errorf("the ConfigMap %q: %w", c.Name, err)
		}
		return p.addItems("the ConfigMap "+c.Name, content{configMap.BinaryData, configMap.Data}, c.Items, c.Optional)
	case source.Secret != nil:
		s := source.Secret
		secret, err := optional(s.Optional, s.Name, names.Valid, func() (*corev1.Secret, error) {
			if isNil(p.cfg.Secrets) {
				return nil, errors.New("there is no getter of Secrets")
			}
			return p.secrets.of(p, s.Name, func() (*corev1.Secret, error) { return p.cfg.Secrets.GetSecret(ctx, p.pod.Namespace, s.Name) })
		})
		if err != nil {
			return fmt.Errorf("the Secret %q: %w", s.Name, err)
		}
		return p.addItems("the Secret "+s.Name, content{secret.Data, nil}, s.Items, s.Optional)
	case source.DownwardAPI != nil:
		return p.addFields(source.DownwardAPI)
	case source.ClusterTrustBundle != nil:
		return p.addTrustBundle(ctx, source.ClusterTrustBundle)
	}
	return errors.New("it is of a kind that isn't known here")
}

// isNil reports whether a getter is missing.
func isNil(getter any) bool {
	list := configerror.List{}
	list.Require("", getter, "")
	return list.Err() != nil
}

// optional looks up an object, and returns an empty one if it isn't there and may be
// absent.
func optional[T any](may *bool, name string, valid func(string) bool, get func() (*T, error)) (*T, error) {
	if !valid(name) {
		return nil, errors.New("there can't be one of that name")
	}
	object, err := contract.Require(get())
	if apierrors.IsNotFound(err) && may != nil && *may {
		return new(T), nil
	}
	return object, err
}

// content is that of a ConfigMap or a Secret. The texts aren't converted before they are
// needed.
type content struct {
	binary map[string][]byte
	texts  map[string]string
}

func (c content) of(key string) (value []byte, ok bool) {
	if text, ok := c.texts[key]; ok {
		return []byte(text), true
	}
	value, ok = c.binary[key]
	return value, ok
}

// items returns all of it.
func (c content) items() (all []corev1.KeyToPath) {
	for key := range c.binary {
		all = append(all, corev1.KeyToPath{Key: key, Path: key})
	}
	for key := range c.texts {
		all = append(all, corev1.KeyToPath{Key: key, Path: key})
	}
	return all
}

// addItems adds the items of data that are listed, or all.
func (p *payload) addItems(what string, data content, items []corev1.KeyToPath, may *bool) error {
	if len(items) == 0 {
		items = data.items()
	}
	for _, item := range items {
		value, ok := data.of(item.Key)
		if !ok && (may == nil || !*may) {
			return fmt.Errorf("%s has no key %q", what, item.Key)
		}
		if !ok {
			continue
		}
		if err := p.set(item.Path, value, item.Mode); err != nil {
			return err
		}
	}
	return nil
}

// addToken adds a token.
func (p *payload) addToken(ctx context.Context, source *corev1.ServiceAccountTokenProjection) error {
	if p.cfg.Mint == nil {
		return errors.New("there is no Mint for tokens")
	}
	if err := p.call(); err != nil {
		return err
	}
	token, err := p.cfg.Mint(ctx, p.pod.DeepCopy(), source.DeepCopy())
	switch {
	case err != nil:
		return fmt.Errorf("getting a token: %w", err)
	case token == nil || token.Value == "":
		return errors.New("the function Mint returned neither a token nor an error")
	}
	if p.expiry.IsZero() || !token.Expiry.IsZero() && token.Expiry.Before(p.expiry) {
		p.expiry = token.Expiry
	}
	return p.setOwned(source.Path, []byte(token.Value))
}

// userOf returns the user as whom all containers of pod run, nil if they differ or one
// doesn't say (KUB-33).
func userOf(pod *corev1.Pod) *int {
	var inherited *int64
	if pod.Spec.SecurityContext != nil {
		inherited = pod.Spec.SecurityContext.RunAsUser
	}
	var user *int
	same := true
	see := func(context *corev1.SecurityContext) {
		own := inherited
		if context != nil && context.RunAsUser != nil {
			own = context.RunAsUser
		}
		if own == nil || user != nil && *user != int(*own) {
			same = false
			return
		}
		u := int(*own)
		user = &u
	}
	for i := range pod.Spec.InitContainers {
		see(pod.Spec.InitContainers[i].SecurityContext)
	}
	for i := range pod.Spec.Containers {
		see(pod.Spec.Containers[i].SecurityContext)
	}
	for i := range pod.Spec.EphemeralContainers {
		see(pod.Spec.EphemeralContainers[i].SecurityContext)
	}
	if !same {
		return nil
	}
	return user
}

// addFields adds fields of the pod.
func (p *payload) addFields(source *corev1.DownwardAPIProjection) error {
	for i := range source.Items {
		item := &source.Items[i]
		if item.FieldRef == nil {
			return fmt.Errorf("path %q: resource fields aren't known here", item.Path)
		}
		value, ok := fieldOf(p.pod, item.FieldRef.FieldPath)
		if !ok {
			return fmt.Errorf("path %q: the field %q isn't known here", item.Path, item.FieldRef.FieldPath)
		}
		if err := p.set(item.Path, []byte(value), item.Mode); err != nil {
			return err
		}
	}
	return nil
}

// fieldOf returns a field of the pod as the downward API writes it into a file.
func fieldOf(pod *corev1.Pod, path string) (value string, ok bool) {
	switch path {
	case "metadata.name":
		return pod.Name, true
	case "metadata.namespace":
		return pod.Namespace, true
	case "metadata.uid":
		return string(pod.UID), true
	case "metadata.labels":
		return formatMap(pod.Labels), true
	case "metadata.annotations":
		return formatMap(pod.Annotations), true
	}
	for prefix, values := range map[string]map[string]string{"metadata.labels['": pod.Labels, "metadata.annotations['": pod.Annotations} {
		if key, found := strings.CutPrefix(path, prefix); found && strings.HasSuffix(key, "']") {
			return values[strings.TrimSuffix(key, "']")], true
		}
	}
	return "", false
}

// formatMap writes a line for each key, in order.
func formatMap(values map[string]string) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(values)) {
		fmt.Fprintf(&b, "%s=%q\n", key, values[key])
	}
	return strings.TrimSuffix(b.String(), "\n")
}
