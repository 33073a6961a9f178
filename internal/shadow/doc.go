// Package shadow asks what a new version would have answered.
//
// What users asked, and what they were answered, is a stream of exchanges. They
// are imported from the logs of others, or recorded by a proxy, redacted before
// anything reaches a disk, and kept in a recording: a file that is read as a
// stream and never held in memory. A replay asks the same again, at the pace it
// was asked, of the version that serves and of the one that wants to; a mirror
// does so while users ask. Both answers are compared field by field. What also
// differs between two answers of the same version is noise; what differs more
// often than that is a regression, said only when chance can not explain it.
package shadow
