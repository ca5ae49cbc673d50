// Package fieldmanager gives a fake Cluster what it needs for managedFields and
// server-side apply: the schema of client-go and the field manager of the API server.
//
//	cluster.ManageFields(fieldmanager.New())
//	applied, created, err := cluster.Resource("configmaps").Apply(ctx, "ci", "settings", "", configuration, metav1.PatchOptions{FieldManager: "deployer"})
//
// The handler of package apiserver and the fakes of the module fake/clientgo do that by
// themselves: this is for tests that call the Cluster. The schema is read at the first
// write, which takes a moment.
//
// # Failure
//
// Fields of another manager are a conflict whose causes name them; a configuration that
// doesn't fit the schema is an error of the API server, but shows no value of a Secret.
package fieldmanager
