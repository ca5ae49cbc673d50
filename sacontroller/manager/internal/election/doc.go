// Package election has the leader election of a Manager: the Lease that its processes
// share, and the work of the one that holds it, whose requests end before the Lease can
// be another's. manager.LeaderElection says what it promises.
package election
