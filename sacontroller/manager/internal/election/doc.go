// Package election has the leader election of a Manager: the Lease that its processes
// share, and the work of the one that holds it, which ends before the Lease can be
// another's. manager.LeaderElection says what it promises.
package election
