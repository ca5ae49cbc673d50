package webhook

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// readVolume reads what decisions depend on: a volume's name, the sources that name
// Secrets, and what tells token volumes apart.
func readVolume(s *scanner, v *corev1.Volume) {
	for key := range s.Members {
		switch {
		case key == "name":
			v.Name = s.Text()
		case isSource[key] && s.present():
			readSource(s, key, v)
		}
	}
}

// isSource has the sources of a volume that are read.
var isSource = map[string]bool{
	"projected": true, "secret": true, "azureFile": true, "cephfs": true, "cinder": true, "flexVolume": true,
	"rbd": true, "scaleIO": true, "iscsi": true, "storageos": true, "csi": true,
}

func readSource(s *scanner, key string, v *corev1.Volume) {
	switch key {
	case "projected":
		v.Projected = readProjected(s)
	case "secret":
		v.Secret = readSecret(s)
	case "azureFile":
		v.AzureFile = &corev1.AzureFileVolumeSource{SecretName: s.field("secretName")}
	case "cephfs":
		v.CephFS = &corev1.CephFSVolumeSource{SecretRef: s.refIn("secretRef")}
	case "cinder":
		v.Cinder = &corev1.CinderVolumeSource{SecretRef: s.refIn("secretRef")}
	case "flexVolume":
		v.FlexVolume = &corev1.FlexVolumeSource{SecretRef: s.refIn("secretRef")}
	case "rbd":
		v.RBD = &corev1.RBDVolumeSource{SecretRef: s.refIn("secretRef")}
	case "scaleIO":
		v.ScaleIO = &corev1.ScaleIOVolumeSource{SecretRef: s.refIn("secretRef")}
	case "iscsi":
		v.ISCSI = &corev1.ISCSIVolumeSource{SecretRef: s.refIn("secretRef")}
	case "storageos":
		v.StorageOS = &corev1.StorageOSVolumeSource{SecretRef: s.refIn("secretRef")}
	case "csi":
		v.CSI = &corev1.CSIVolumeSource{NodePublishSecretRef: s.refIn("nodePublishSecretRef")}
	}
}

func readSecret(s *scanner) *corev1.SecretVolumeSource {
	v := new(corev1.SecretVolumeSource)
	for key := range s.Members {
		switch key {
		case "secretName":
			v.SecretName = s.Text()
		case "items":
			v.Items = few(s, readItem)
		}
	}
	return v
}

func readProjected(s *scanner) *corev1.ProjectedVolumeSource {
	v := new(corev1.ProjectedVolumeSource)
	for key := range s.Members {
		switch key {
		case "defaultMode":
			v.DefaultMode = readMode(s)
		case "sources":
			v.Sources = list(s, readProjection)
		}
	}
	return v
}

func readProjection(s *scanner, p *corev1.VolumeProjection) {
	for key := range s.Members {
		switch key {
		case "secret":
			if s.present() {
				p.Secret = &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: s.field("name")}}
			}
		case "serviceAccountToken":
			p.ServiceAccountToken = readToken(s)
		case "configMap":
			p.ConfigMap = readConfigMap(s)
		case "downwardAPI":
			p.DownwardAPI = readDownwardAPI(s)
		case "clusterTrustBundle":
			p.ClusterTrustBundle = readTrustBundle(s)
		case "podCertificate":
			if s.present() {
				p.PodCertificate = new(corev1.PodCertificateProjection)
			}
		}
	}
}

func readTrustBundle(s *scanner) *corev1.ClusterTrustBundleProjection {
	if !s.present() {
		return nil
	}
	v := new(corev1.ClusterTrustBundleProjection)
	text := func() *string {
		if s.Next() != '"' { // null, or a fault
			s.Text()
			return nil
		}
		value := s.Text()
		return &value
	}
	for key := range s.Members {
		switch key {
		case "name":
			v.Name = text()
		case "signerName":
			v.SignerName = text()
		case "path":
			v.Path = s.Text()
		case "optional":
			v.Optional = s.Bool()
		case "labelSelector":
			if !s.present() {
				continue
			}
			v.LabelSelector = new(metav1.LabelSelector)
			for key := range s.Members { // all that counts is whether it selects everything
				v.LabelSelector.MatchLabels = map[string]string{key: ""}
			}
		}
	}
	return v
}

func readToken(s *scanner) *corev1.ServiceAccountTokenProjection {
	if !s.present() {
		return nil
	}
	v := new(corev1.ServiceAccountTokenProjection)
	for key := range s.Members {
		switch key {
		case "audience":
			v.Audience = s.Text()
		case "expirationSeconds":
			v.ExpirationSeconds = s.Int()
		case "path":
			v.Path = s.Text()
		}
	}
	return v
}

func readConfigMap(s *scanner) *corev1.ConfigMapProjection {
	if !s.present() {
		return nil
	}
	v := new(corev1.ConfigMapProjection)
	for key := range s.Members {
		switch key {
		case "name":
			v.Name = s.Text()
		case "optional":
			v.Optional = s.Bool()
		case "items":
			v.Items = few(s, readItem)
		}
	}
	return v
}

func readItem(s *scanner, v *corev1.KeyToPath) {
	for key := range s.Members {
		switch key {
		case "key":
			v.Key = s.Text()
		case "path":
			v.Path = s.Text()
		case "mode":
			v.Mode = readMode(s)
		}
	}
}

func readDownwardAPI(s *scanner) *corev1.DownwardAPIProjection {
	if !s.present() {
		return nil
	}
	v := new(corev1.DownwardAPIProjection)
	for key := range s.Members {
		if key == "items" {
			v.Items = few(s, readField)
		}
	}
	return v
}

func readField(s *scanner, v *corev1.DownwardAPIVolumeFile) {
	for key := range s.Members {
		switch key {
		case "path":
			v.Path = s.Text()
		case "fieldRef":
			v.FieldRef = new(corev1.ObjectFieldSelector)
			for key := range s.Members {
				switch key {
				case "apiVersion":
					v.FieldRef.APIVersion = s.Text()
				case "fieldPath":
					v.FieldRef.FieldPath = s.Text()
				}
			}
		case "resourceFieldRef":
			if s.present() {
				v.ResourceFieldRef = new(corev1.ResourceFieldSelector)
			}
		case "mode":
			v.Mode = readMode(s)
		}
	}
}

// readMode reads the mode of a file. One that is none is 0, which no file of a token
// volume has.
func readMode(s *scanner) *int32 {
	n := s.Int()
	if n == nil {
		return nil
	}
	mode := int32(*n)
	if int64(mode) != *n {
		return new(int32)
	}
	return &mode
}

// few reads an array and keeps two elements of it: one more than the lists in a
// token volume have.
func few[T any](s *scanner, read func(*scanner, *T)) (l []T) {
	for i := range s.Elements {
		if i < 2 {
			l = append(l, *new(T))
			read(s, &l[i])
		}
	}
	return l
}
