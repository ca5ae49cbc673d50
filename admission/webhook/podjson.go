package webhook

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/admission"
)

// podJSON is what is read of a pod in a review: all that decisions and patches
// depend on, and no more.
type podJSON struct {
	present          bool
	apiVersion, kind string
	hasSpec          bool
	// pod has the fields that decisions depend on. Slices are nil if there is no
	// array to add to. Of env and envFrom only references to Secrets are kept.
	pod corev1.Pod
	// nulls has the containers that are null.
	nulls map[position]bool
}

// wanted says what is read of a pod besides what every decision depends on.
type wanted struct {
	annotations, labels []string // keys
	env                 bool     // the names of all variables
}

// A position is that of a container in its list.
type position struct {
	init bool
	i    int
}

// isNull reports whether the container that e is about is null.
func (p *podJSON) isNull(e *admission.Edit) bool {
	return p.nulls[position{e.Field == "initContainers", e.Container}]
}

func (p *podJSON) read(s *scanner, wanted *wanted) {
	p.present = s.Next() == '{'
	for key := range s.Members {
		switch key {
		case "apiVersion":
			p.apiVersion = s.Text()
		case "kind":
			p.kind = s.Text()
		case "metadata":
			p.metadata(s, wanted)
		case "spec":
			p.spec(s, wanted.env)
		}
	}
}

func (p *podJSON) readMetadataOnly(s *scanner) {
	for key := range s.Members {
		if key == "metadata" {
			p.metadata(s, enforceOnly)
		}
	}
}

func (p *podJSON) metadata(s *scanner, wanted *wanted) {
	for key := range s.Members {
		switch key {
		case "name":
			p.pod.Name = s.Text()
		case "generateName":
			p.pod.GenerateName = s.Text()
		case "annotations":
			p.pod.Annotations = readKeys(s, p.pod.Annotations, wanted.annotations)
		case "labels":
			p.pod.Labels = readKeys(s, p.pod.Labels, wanted.labels)
		}
	}
}

// readKeys adds those of the members called keys to values.
func readKeys(s *scanner, values map[string]string, keys []string) map[string]string {
	for key := range s.Members {
		if !slices.Contains(keys, key) {
			continue
		}
		if values == nil {
			values = map[string]string{}
		}
		values[key] = s.Text()
	}
	return values
}

func (p *podJSON) spec(s *scanner, env bool) {
	spec := &p.pod.Spec
	p.hasSpec = s.Next() == '{'
	for key := range s.Members {
		switch key {
		case "serviceAccountName":
			spec.ServiceAccountName = s.Text()
		case "serviceAccount":
			spec.DeprecatedServiceAccount = s.Text()
		case "automountServiceAccountToken":
			spec.AutomountServiceAccountToken = s.Bool()
		case "imagePullSecrets":
			spec.ImagePullSecrets = list(s, readName)
		case "initContainers":
			spec.InitContainers = p.containers(s, true, env)
		case "containers":
			spec.Containers = p.containers(s, false, env)
		case "ephemeralContainers":
			spec.EphemeralContainers = list(s, readEphemeral)
		case "volumes":
			spec.Volumes = list(s, readVolume)
		}
	}
}

func readName(s *scanner, ref *corev1.LocalObjectReference) { ref.Name = s.field("name") }

func (p *podJSON) containers(s *scanner, init, env bool) []corev1.Container {
	i := -1
	return list(s, func(s *scanner, c *corev1.Container) {
		if i++; s.Next() == 'n' {
			if p.nulls == nil {
				p.nulls = map[position]bool{}
			}
			p.nulls[position{init, i}] = true
		}
		readContainer(s, c, env)
	})
}

func readContainer(s *scanner, c *corev1.Container, env bool) {
	for key := range s.Members {
		switch key {
		case "name":
			c.Name = s.Text()
		case "volumeMounts":
			c.VolumeMounts = list(s, readMount)
		case "env":
			c.Env = readEnv(s, env)
		case "envFrom":
			c.EnvFrom = readEnvFrom(s)
		}
	}
}

func readEphemeral(s *scanner, c *corev1.EphemeralContainer) {
	for key := range s.Members {
		switch key {
		case "name":
			c.Name = s.Text()
		case "env":
			c.Env = readEnv(s, false)
		case "envFrom":
			c.EnvFrom = readEnvFrom(s)
		}
	}
}

func readMount(s *scanner, m *corev1.VolumeMount) { m.MountPath = s.field("mountPath") }

// readEnv keeps the variables that come from Secrets, and if all is set the names of the
// others.
func readEnv(s *scanner, all bool) (env []corev1.EnvVar) {
	for range s.Elements {
		var name string
		var ref *corev1.LocalObjectReference
		for key := range s.Members {
			switch key {
			case "name":
				name = s.Text()
			case "valueFrom":
				ref = s.refIn("secretKeyRef")
			}
		}
		switch {
		case ref == nil && !all || !s.keep():
		case ref == nil:
			env = append(env, corev1.EnvVar{Name: name})
		default:
			env = append(env, corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: *ref}}})
		}
	}
	return env
}

// readEnvFrom keeps the sources that are Secrets.
func readEnvFrom(s *scanner) (sources []corev1.EnvFromSource) {
	for range s.Elements {
		if ref := s.refIn("secretRef"); ref != nil && s.keep() {
			sources = append(sources, corev1.EnvFromSource{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: *ref}})
		}
	}
	return sources
}
