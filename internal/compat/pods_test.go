package compat

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/internal/compat/generate"
)

// The pools are small, so that what refers to something often finds it.
var (
	secretNames    = []string{"registry", "database", "", "builder-token-x2kf9", "a.b"}
	accountNames   = []string{"builder", "default", "", "with.dots", "Not_A_Name"}
	volumeNames    = []string{"data", "kube-api-access-abcde", "kube-api-access", "kube-api-access-", "kube-api-access-abcdef", "Kube-api-access-abcde"}
	mountPaths     = []string{"/data", tokenPath, tokenPath + "/", "/var/run/secrets/kubernetes.io", "//var/run/secrets/kubernetes.io/serviceaccount", "/var/run/secrets/kubernetes.io/serviceaccount/token", "/VAR/run/secrets/kubernetes.io/serviceaccount", ""}
	boolTexts      = []string{"true", "1", "t", "T", "True", "TRUE", "false", "0", "yes", "", "tRUE", " true", "on"}
	containerNames = []string{"main", "sidecar", "", "käse"}
)

const (
	tokenPath         = "/var/run/secrets/kubernetes.io/serviceaccount"
	mirrorAnnotation  = "kubernetes.io/config.mirror"
	enforceAnnotation = "kubernetes.io/enforce-mountable-secrets"
)

func newPod(s *generate.Source) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:         generate.OneOf(s, "web", "", "odd/name", `quo"te`),
			GenerateName: generate.OneOf(s, "", "web-"),
			Namespace:    generate.OneOf(s, "team", "", "other"),
			Labels:       generate.OneOf(s, nil, map[string]string{"app": "web"}, map[string]string{}),
		},
		Spec: corev1.PodSpec{
			ServiceAccountName:           generate.OneOf(s, accountNames...),
			AutomountServiceAccountToken: maybeBool(s),
			Volumes:                      listOf(s, 3, newVolume),
			Containers:                   listOf(s, 3, newContainer),
			InitContainers:               listOf(s, 2, newContainer),
			EphemeralContainers:          listOf(s, 2, newEphemeralContainer),
			ImagePullSecrets:             listOf(s, 2, newLocalReference),
			HostNetwork:                  s.Chance(5),
			NodeName:                     generate.OneOf(s, "", "node-1"),
			RestartPolicy:                generate.OneOf(s, "", corev1.RestartPolicyNever),
		},
	}
	pod.Spec.DeprecatedServiceAccount = generate.OneOf(s, pod.Spec.ServiceAccountName, "", "another")
	if s.Chance(12) {
		pod.Annotations = map[string]string{mirrorAnnotation: generate.OneOf(s, "true", "", "false", "0ab1")}
	} else if s.Chance(20) {
		pod.Annotations = generate.OneOf(s, map[string]string{}, map[string]string{"note": "x"}, map[string]string{mirrorAnnotation + "s": "x"})
	}
	if s.Chance(5) {
		pod.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsNonRoot: maybeBool(s)}
	}
	return pod
}

// listOf makes null, empty and filled lists.
func listOf[T any](s *generate.Source, limit int, value func(*generate.Source) T) []T {
	list := generate.ListOf(s, limit, func() T { return value(s) })
	if list == nil && s.Chance(20) {
		return []T{}
	}
	return list
}

func maybeBool(s *generate.Source) *bool {
	return generate.OneOf(s, nil, new(true), new(false))
}

func newLocalReference(s *generate.Source) corev1.LocalObjectReference {
	return corev1.LocalObjectReference{Name: generate.OneOf(s, secretNames...)}
}

func newContainer(s *generate.Source) corev1.Container {
	return corev1.Container{
		Name:         generate.OneOf(s, containerNames...),
		Image:        generate.OneOf(s, "web:1", ""),
		Env:          listOf(s, 2, newEnv),
		EnvFrom:      listOf(s, 2, newEnvFrom),
		VolumeMounts: listOf(s, 2, newMount),
	}
}

func newEphemeralContainer(s *generate.Source) corev1.EphemeralContainer {
	return corev1.EphemeralContainer{
		EphemeralContainerCommon: corev1.EphemeralContainerCommon(newContainer(s)),
		TargetContainerName:      generate.OneOf(s, "", "main"),
	}
}

func newMount(s *generate.Source) corev1.VolumeMount {
	return corev1.VolumeMount{
		Name:      generate.OneOf(s, volumeNames...),
		MountPath: generate.OneOf(s, mountPaths...),
		ReadOnly:  s.Chance(50),
		SubPath:   generate.OneOf(s, "", "sub"),
	}
}

func newEnv(s *generate.Source) corev1.EnvVar {
	env := corev1.EnvVar{Name: generate.OneOf(s, "HOME", "PASSWORD", "")}
	switch s.Intn(5) {
	case 0:
		env.Value = "x"
	case 1:
		env.ValueFrom = &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: newLocalReference(s), Key: "k", Optional: maybeBool(s),
		}}
	case 2:
		env.ValueFrom = &corev1.EnvVarSource{}
	case 3:
		env.ValueFrom = &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: newLocalReference(s), Key: "k"}}
	case 4:
		env.ValueFrom = &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.name"}}
	}
	return env
}

func newEnvFrom(s *generate.Source) corev1.EnvFromSource {
	from := corev1.EnvFromSource{Prefix: generate.OneOf(s, "", "P_")}
	if s.Chance(50) {
		from.SecretRef = &corev1.SecretEnvSource{LocalObjectReference: newLocalReference(s), Optional: maybeBool(s)}
	}
	if s.Chance(30) {
		from.ConfigMapRef = &corev1.ConfigMapEnvSource{LocalObjectReference: newLocalReference(s)}
	}
	return from
}

func newVolume(s *generate.Source) corev1.Volume {
	v := corev1.Volume{Name: generate.OneOf(s, volumeNames...)}
	// Two sources are invalid, but admission runs before validation.
	for range 1 + s.Intn(10)/9 {
		setVolumeSource(s, &v.VolumeSource)
	}
	return v
}

func setVolumeSource(s *generate.Source, v *corev1.VolumeSource) {
	name := func() string { return generate.OneOf(s, secretNames...) }
	local := func() *corev1.LocalObjectReference {
		return generate.OneOf(s, nil, &corev1.LocalObjectReference{Name: name()})
	}
	switch s.Intn(16) {
	case 0:
		v.EmptyDir = &corev1.EmptyDirVolumeSource{}
	case 1, 2, 3:
		v.Secret = &corev1.SecretVolumeSource{SecretName: name(), Optional: maybeBool(s)}
	case 4, 5:
		v.Projected = &corev1.ProjectedVolumeSource{Sources: listOf(s, 3, newProjection)}
	case 6:
		v.CSI = &corev1.CSIVolumeSource{Driver: "d", NodePublishSecretRef: local()}
	case 7:
		v.AzureFile = &corev1.AzureFileVolumeSource{SecretName: name(), ShareName: "s"}
	case 8:
		v.CephFS = &corev1.CephFSVolumeSource{SecretRef: local(), SecretFile: "/f"}
	case 9:
		v.Cinder = &corev1.CinderVolumeSource{SecretRef: local()}
	case 10:
		v.FlexVolume = &corev1.FlexVolumeSource{SecretRef: local()}
	case 11:
		v.RBD = &corev1.RBDVolumeSource{SecretRef: local()}
	case 12:
		v.ScaleIO = &corev1.ScaleIOVolumeSource{SecretRef: local()}
	case 13:
		v.ISCSI = &corev1.ISCSIVolumeSource{SecretRef: local()}
	case 14:
		v.StorageOS = &corev1.StorageOSVolumeSource{SecretRef: local()}
	case 15:
		v.HostPath = &corev1.HostPathVolumeSource{Path: "/"}
		if s.Chance(20) {
			v.Ephemeral = &corev1.EphemeralVolumeSource{VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{}}
		}
	}
}

func newProjection(s *generate.Source) corev1.VolumeProjection {
	var p corev1.VolumeProjection
	switch s.Intn(5) {
	case 0:
		p.ConfigMap = &corev1.ConfigMapProjection{LocalObjectReference: newLocalReference(s)}
	case 1:
		p.Secret = &corev1.SecretProjection{LocalObjectReference: newLocalReference(s)}
	case 2:
		p.ServiceAccountToken = &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: new(int64(600))}
	case 3:
		p.DownwardAPI = &corev1.DownwardAPIProjection{}
	case 4:
		p.Secret = &corev1.SecretProjection{LocalObjectReference: newLocalReference(s)}
		p.ServiceAccountToken = &corev1.ServiceAccountTokenProjection{Path: "token"}
	}
	return p
}

// newAccount makes the ServiceAccount that a pod asks for.
func newAccount(s *generate.Source, namespace, name string) *corev1.ServiceAccount {
	account := &corev1.ServiceAccount{
		ObjectMeta:                   metav1.ObjectMeta{Namespace: namespace, Name: name, UID: "0a1b"},
		AutomountServiceAccountToken: maybeBool(s),
		ImagePullSecrets:             listOf(s, 2, newLocalReference),
		Secrets: listOf(s, 3, func(s *generate.Source) corev1.ObjectReference {
			return corev1.ObjectReference{Name: generate.OneOf(s, secretNames...)}
		}),
	}
	if s.Chance(40) {
		account.Annotations = map[string]string{enforceAnnotation: generate.OneOf(s, boolTexts...)}
	}
	if s.Chance(5) {
		account.DeletionTimestamp = &metav1.Time{}
	}
	return account
}
