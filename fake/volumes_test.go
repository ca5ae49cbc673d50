package fake_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/fake"
)

// mountingPod is a good pod with a Secret volume, which its container mounts.
func mountingPod() *corev1.Pod {
	return &corev1.Pod{ObjectMeta: meta("ci", "p"), Spec: corev1.PodSpec{
		ServiceAccountName: "default",
		Volumes:            []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "s"}}}},
		Containers: []corev1.Container{{
			Name: "main", Image: "app", VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}},
		}},
	}}
}

// What the API server doesn't accept of volumes and mounts. internal/compat compares
// more of it with Kubernetes.
func TestVolumesAndMounts(t *testing.T) {
	one := func(p *corev1.Pod) *corev1.Container { return &p.Spec.Containers[0] }
	for _, tt := range []struct {
		name   string
		mutate func(*corev1.Pod)
		want   string // "" for a good pod
	}{
		{"good", func(*corev1.Pod) {}, ""},
		{"mount of no volume", func(p *corev1.Pod) { one(p).VolumeMounts[0].Name = "dat" }, `spec.containers[0].volumeMounts[0].name: Not found: "dat"`},
		{"mount of an init container", func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "init", Image: "app", VolumeMounts: []corev1.VolumeMount{{Name: "x", MountPath: "/x"}}}}
		}, `spec.initContainers[0].volumeMounts[0].name: Not found: "x"`},
		{"mount of a volume without a valid name", func(p *corev1.Pod) {
			p.Spec.Volumes[0].Name, one(p).VolumeMounts[0].Name = "My_Data", "My_Data"
		}, `[spec.volumes[0].name: Invalid value: "My_Data": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?'), spec.containers[0].volumeMounts[0].name: Not found: "My_Data"]`},
		{"two volumes of a name", func(p *corev1.Pod) { p.Spec.Volumes = append(p.Spec.Volumes, p.Spec.Volumes[0]) }, `spec.volumes[1].name: Duplicate value: "data"`},
		{"two mounts at a path", func(p *corev1.Pod) { one(p).VolumeMounts = append(one(p).VolumeMounts, one(p).VolumeMounts[0]) }, `spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/data": must be unique`},
		{"mount without a path", func(p *corev1.Pod) { one(p).VolumeMounts[0].MountPath = "" }, `spec.containers[0].volumeMounts[0].mountPath: Required value`},
		{"mount outside of the volume", func(p *corev1.Pod) { one(p).VolumeMounts[0].SubPath = "../x" }, `spec.containers[0].volumeMounts.subPath: Invalid value: "../x": must not contain '..'`},
		{"Secret without a name", func(p *corev1.Pod) {
			p.Spec.Volumes[0].Secret.SecretName, one(p).VolumeMounts = "", nil
		}, `spec.volumes[0].secret.secretName: Required value`},
		{"two types", func(p *corev1.Pod) {
			p.Spec.Volumes[0].ConfigMap, one(p).VolumeMounts = &corev1.ConfigMapVolumeSource{}, nil
		}, `spec.volumes[0].configMap: Forbidden: may not specify more than 1 volume type`},
		{"device of a Secret", func(p *corev1.Pod) {
			one(p).VolumeMounts, one(p).VolumeDevices = nil, []corev1.VolumeDevice{{Name: "data", DevicePath: "/dev/x"}}
		}, `spec.containers[0].volumeDevices[0].name: Invalid value: "data": can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode`},
		{"key of no Secret", func(p *corev1.Pod) {
			one(p).Env = []corev1.EnvVar{{Name: "A", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}}}}}
		}, `spec.containers[0].env[0].valueFrom.secretKeyRef.key: Required value`},
		{"environment of no Secret", func(p *corev1.Pod) {
			one(p).EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{}}}
		}, `spec.containers[0].envFrom[0].secretRef.name: Required value`},
		{"node that is no name", func(p *corev1.Pod) { p.Spec.NodeName = "Node_1" }, `spec.nodeName: Invalid value: "Node_1": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`},
		{"ephemeral containers", func(p *corev1.Pod) {
			p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "sh"}}}
		}, `spec.ephemeralContainers: Forbidden: cannot be set on create`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pod := mountingPod()
			tt.mutate(pod)
			_, err := newCI(t).CreatePod(t.Context(), pod)
			if tt.want == "" {
				if err != nil {
					t.Errorf("CreatePod() = %v", err)
				}
				return
			}
			checkError(t, err, metav1.StatusReasonInvalid, `Pod "p" is invalid: `+tt.want)
		})
	}
}

// Updates and patches are held to it as well.
func TestMountsOfUpdates(t *testing.T) {
	c := newCI(t)
	pod := must[*corev1.Pod](t)(c.CreatePod(t.Context(), mountingPod()))
	debug := func(volume string) *corev1.Pod {
		changed := pod.DeepCopy()
		changed.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
			Name: "debug", Image: "sh", VolumeMounts: []corev1.VolumeMount{{Name: volume, MountPath: "/x"}},
		}}}
		return changed
	}
	notFound := `Pod "p" is invalid: spec.ephemeralContainers[0].volumeMounts[0].name: Not found: "x"`
	_, err := c.UpdatePodEphemeralContainers(t.Context(), debug("x"))
	checkError(t, err, metav1.StatusReasonInvalid, notFound)
	_, err = c.CoreV1().Pods("ci").Patch(t.Context(), "p", types.StrategicMergePatchType,
		[]byte(`{"spec": {"ephemeralContainers": [{"name": "debug", "image": "sh", "volumeMounts": [{"name": "x", "mountPath": "/x"}]}]}}`), metav1.PatchOptions{}, "ephemeralcontainers")
	checkError(t, err, metav1.StatusReasonInvalid, notFound)
	if _, err := c.UpdatePodEphemeralContainers(t.Context(), debug("data")); err != nil {
		t.Errorf("a mount of the pod's volume = %v", err)
	}
	_, err = c.CoreV1().Pods("ci").Patch(t.Context(), "p", types.JSONPatchType,
		[]byte(`[{"op": "replace", "path": "/spec/containers/0/volumeMounts/0/name", "value": "x"}]`), metav1.PatchOptions{})
	if err == nil {
		t.Error("a patch of a mount = nil, want 422")
	}
}

// A volume of no type is an empty directory.
func TestVolumeWithoutType(t *testing.T) {
	pod := mountingPod()
	pod.Spec.Volumes[0].Secret = nil
	c := fake.New(&corev1.Namespace{ObjectMeta: meta("", "ci")})
	if got := must[*corev1.Pod](t)(c.CreatePod(t.Context(), pod)); got.Spec.Volumes[0].EmptyDir == nil {
		t.Errorf("the volume is %+v, want an emptyDir", got.Spec.Volumes[0])
	}
}
