// Package resilience lets xk6 build a k6 with this project's extension:
//
//	xk6 build --with resilience=.
//
// The program itself is cmd/resilience.
package resilience

import _ "resilience/xk6-resilience" // registers the extension with k6
