// SPDX-License-Identifier: Apache-2.0
//
// The lines of `apus build --json`: one object a line, on standard output. docs/build-tool.md describes them for those
// who read them; members may be added, and are never given another meaning.

public import SystemPackage

/// Something that has happened in a build.
public struct BuildEvent: Sendable, Equatable, Encodable {
    public enum Kind: String, Sendable, Encodable {
        /// Work on a product has begun.
        case start
        /// A step: `step` of `steps`, described by `text`.
        case step
        /// A line of the compiler or the linker: an error, a warning, or a part of one.
        case message
        /// A product is finished, in `file`.
        case built
        /// A product was finished already, in `file`.
        case upToDate = "up-to-date"
        /// A product could not be built. `text` says why.
        case failed
    }

    public let event: Kind
    public let product: String?
    /// `linux/amd64`
    public let target: String?
    public let file: String?
    public let step: Int?
    public let steps: Int?
    public let text: String?
    public let severity: SwiftPMOutput.Severity?

    public init(
        _ event: Kind, product: String? = nil, target: Platform? = nil, file: FilePath? = nil, step: Int? = nil,
        steps: Int? = nil, text: String? = nil, severity: SwiftPMOutput.Severity? = nil
    ) {
        self.event = event
        self.product = product
        self.target = target?.description
        self.file = file?.string
        self.step = step
        self.steps = steps
        self.text = text
        self.severity = severity
    }
}
