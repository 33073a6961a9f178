package plan

// version wants one way to ask a target which version it is.
func (c *checker) version(v *Version) {
	if v == nil || !c.clean("version") {
		return
	}
	at := c.under(".version")
	switch {
	case v.Path == "" && v.Command == "":
		c.wrong("version", "write for example: version: {path: /version, json: commit}", "version wants path: or command:")
	case v.Path != "" && v.Command != "":
		at.wrong("command", "keep one", "a version is asked for by path: or by command:, not by both")
	case v.Command != "" && (v.JSON != "" || v.Header != ""):
		at.wrong("command", "let the command print just the version", "json: and header: are of an answer to path:")
	case v.JSON != "" && v.Header != "":
		at.wrong("header", "keep one", "a version is in json: or in header:, not in both")
	}
}
