package admissiontest

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TrustBundleChanges are changes of a token volume that projects trust bundles of a signer:
// the first two leave it what it was.
func TrustBundleChanges() []VolumeChange {
	bundle := func(change func(*corev1.ClusterTrustBundleProjection)) func(*corev1.Volume) {
		return func(v *corev1.Volume) { change(v.Projected.Sources[1].ClusterTrustBundle) }
	}
	text, on := "x", true
	return []VolumeChange{
		{"as asked for", func(*corev1.Volume) {}},
		{"not optional", bundle(func(b *corev1.ClusterTrustBundleProjection) { b.Optional = new(bool) })},
		{"optional", bundle(func(b *corev1.ClusterTrustBundleProjection) { b.Optional = &on })},
		{"by name", bundle(func(b *corev1.ClusterTrustBundleProjection) { b.Name = &text })},
		{"another signer", bundle(func(b *corev1.ClusterTrustBundleProjection) { b.SignerName = &text })},
		{"no signer", bundle(func(b *corev1.ClusterTrustBundleProjection) { b.SignerName = nil })},
		{"another file", bundle(func(b *corev1.ClusterTrustBundleProjection) { b.Path = "x" })},
		{"none of them", bundle(func(b *corev1.ClusterTrustBundleProjection) { b.LabelSelector = nil })},
		{"some of them", bundle(func(b *corev1.ClusterTrustBundleProjection) {
			b.LabelSelector.MatchLabels = map[string]string{"a": "b"}
		})},
		{"others of them", bundle(func(b *corev1.ClusterTrustBundleProjection) {
			b.LabelSelector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "a", Operator: metav1.LabelSelectorOpExists}}
		})},
		{"nothing", func(v *corev1.Volume) { v.Projected.Sources[1] = corev1.VolumeProjection{} }},
		{"a ConfigMap too", func(v *corev1.Volume) { v.Projected.Sources[1].ConfigMap = new(corev1.ConfigMapProjection) }},
		{"a ConfigMap", func(v *corev1.Volume) { v.Projected.Sources[1] = TokenVolume("x").Projected.Sources[1] }},
	}
}

// A VolumeChange changes a token volume in one respect.
type VolumeChange struct {
	Name   string
	Change func(*corev1.Volume)
}

// VolumeChanges make a token volume another one than [TokenVolume], each in one
// respect, or leave it what it is, as the names say.
func VolumeChanges() []VolumeChange {
	type change = func(*corev1.Volume)
	token := func(v *corev1.Volume) *corev1.ServiceAccountTokenProjection {
		return v.Projected.Sources[0].ServiceAccountToken
	}
	ca := func(v *corev1.Volume) *corev1.ConfigMapProjection { return v.Projected.Sources[1].ConfigMap }
	api := func(v *corev1.Volume) *corev1.DownwardAPIVolumeFile {
		return &v.Projected.Sources[2].DownwardAPI.Items[0]
	}
	add := func(p corev1.VolumeProjection) change {
		return func(v *corev1.Volume) { v.Projected.Sources = append(v.Projected.Sources, p) }
	}
	mode, on := int32(0o600), true
	return []VolumeChange{
		{"as asked for", func(*corev1.Volume) {}},
		{"without what is defaulted", func(v *corev1.Volume) { v.Projected.DefaultMode, api(v).FieldRef.APIVersion = nil, "" }},
		{"CA not optional", func(v *corev1.Volume) { ca(v).Optional = new(bool) }},
		{"another audience", func(v *corev1.Volume) { token(v).Audience = "third" }},
		{"another audience and lifetime", func(v *corev1.Volume) { token(v).Audience, token(v).ExpirationSeconds = "third", nil }},
		{"another lifetime", func(v *corev1.Volume) { *token(v).ExpirationSeconds = 3600 }},
		{"default lifetime", func(v *corev1.Volume) { token(v).ExpirationSeconds = nil }},
		{"another file", func(v *corev1.Volume) { token(v).Path = "jwt" }},
		{"no token", func(v *corev1.Volume) { v.Projected.Sources = v.Projected.Sources[1:] }},
		{"nothing projected", func(v *corev1.Volume) { v.Projected = nil }},
		{"only the token", func(v *corev1.Volume) { v.Projected.Sources = v.Projected.Sources[:1] }},
		{"another token", add(corev1.VolumeProjection{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "other", Audience: "third"}})},
		{"another token first", func(v *corev1.Volume) {
			v.Projected.Sources = append([]corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "other", Audience: "third"}}}, v.Projected.Sources...)
		}},
		{"Secret too", add(corev1.VolumeProjection{Secret: &corev1.SecretProjection{}})},
		{"trust bundle too", add(corev1.VolumeProjection{ClusterTrustBundle: &corev1.ClusterTrustBundleProjection{}})},
		{"pod certificate too", add(corev1.VolumeProjection{PodCertificate: &corev1.PodCertificateProjection{}})},
		{"source without content", add(corev1.VolumeProjection{})},
		{"two in one source", func(v *corev1.Volume) { v.Projected.Sources[0].Secret = &corev1.SecretProjection{} }},
		{"two in the second source", func(v *corev1.Volume) {
			v.Projected.Sources[1].ClusterTrustBundle = &corev1.ClusterTrustBundleProjection{}
		}},
		{"two in the third source", func(v *corev1.Volume) { v.Projected.Sources[2].PodCertificate = &corev1.PodCertificateProjection{} }},
		{"second source without content", func(v *corev1.Volume) { v.Projected.Sources[1] = corev1.VolumeProjection{} }},
		{"third source without content", func(v *corev1.Volume) { v.Projected.Sources[2] = corev1.VolumeProjection{} }},
		{"another order", func(v *corev1.Volume) {
			v.Projected.Sources[1], v.Projected.Sources[2] = v.Projected.Sources[2], v.Projected.Sources[1]
		}},
		{"another mode", func(v *corev1.Volume) { v.Projected.DefaultMode = &mode }},
		{"another CA", func(v *corev1.Volume) { ca(v).Name = "mine" }},
		{"optional CA", func(v *corev1.Volume) { ca(v).Optional = &on }},
		{"all of the ConfigMap", func(v *corev1.Volume) { ca(v).Items = nil }},
		{"more of the ConfigMap", func(v *corev1.Volume) { ca(v).Items = append(ca(v).Items, corev1.KeyToPath{Key: "x", Path: "x"}) }},
		{"another key", func(v *corev1.Volume) { ca(v).Items[0].Key = "x" }},
		{"CA with a mode", func(v *corev1.Volume) { ca(v).Items[0].Mode = &mode }},
		{"CA as another file", func(v *corev1.Volume) { ca(v).Items[0].Path = "x" }},
		{"no field", func(v *corev1.Volume) { api(v).FieldRef = nil }},
		{"another field", func(v *corev1.Volume) { api(v).FieldRef.FieldPath = "metadata.name" }},
		{"field of another version", func(v *corev1.Volume) { api(v).FieldRef.APIVersion = "v2" }},
		{"field as another file", func(v *corev1.Volume) { api(v).Path = "x" }},
		{"field with a mode", func(v *corev1.Volume) { api(v).Mode = &mode }},
		{"resource", func(v *corev1.Volume) { api(v).ResourceFieldRef = &corev1.ResourceFieldSelector{} }},
		{"no fields", func(v *corev1.Volume) { v.Projected.Sources[2].DownwardAPI.Items = nil }},
		{"more fields", func(v *corev1.Volume) {
			d := v.Projected.Sources[2].DownwardAPI
			d.Items = append(d.Items, d.Items[0])
		}},
	}
}
