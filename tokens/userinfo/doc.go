// Package userinfo has the names that ServiceAccounts have as Kubernetes users: their
// usernames, their groups, and the keys of the extra of user infos. Bind roles to them,
// and tell ServiceAccounts from other users:
//
//	namespace, name, err := userinfo.SplitUsername(user.Username)
//
// Everything here is pure. Identity.UserInfo of package tokens makes a user of a token's
// ServiceAccount, and IdentityOf reads one.
package userinfo
