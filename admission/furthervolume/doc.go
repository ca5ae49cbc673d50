// Package furthervolume decides which pods get tokens for other audiences than the API
// server's, as the webhooks of cloud providers do for their workload identity.
//
//	volume := furthervolume.Volume{
//		Name:      "vault-token",
//		When:      furthervolume.Condition{PodLabel: "vault=true"},
//		Audience:  "vault",
//		MountPath: "/var/run/secrets/vault",
//	}
//	plugin, err := admission.New(admission.Config{…, FurtherVolumes: []furthervolume.Volume{volume}})
//
// # Concepts
//
// A [Volume] says which pods get a volume that projects a token, for which audience and
// how long, where their containers find it, and which environment variables tell clients
// about it. [Decide] decides about one pod: the package admission does what it says for its
// Config.FurtherVolumes. If several set the same variable, the first one does.
//
// # Failure
//
// A pod is denied if it has another volume of that name, asks for a lifetime that isn't
// allowed, or would get more than 3 MiB.
//
// # Security
//
// Whoever may write an annotation that a Volume names decides what it says: an audience
// comes from the account, unless InsecurePodAudience is set. Values of variables are taken
// literally: the kubelet replaces no $(NAME) in them.
package furthervolume
