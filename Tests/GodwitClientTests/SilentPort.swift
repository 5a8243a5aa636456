// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import Testing

/// A port of loopback at which nobody listens, and nobody else can begin to until it is released: one that was only
/// closed may be another test's a moment later.
struct SilentPort {
    let number: Int
    private let descriptor: Int32

    init() throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        try #require(descriptor >= 0)
        let any = try SocketAddress(ipAddress: "127.0.0.1", port: 0)
        try #require(any.withSockAddr { address, size in bind(descriptor, address, socklen_t(size)) } == 0)
        var address = [UInt8](repeating: 0, count: 16)
        var length = socklen_t(address.count)
        let code = address.withUnsafeMutableBytes { bytes in
            getsockname(descriptor, bytes.assumingMemoryBound(to: sockaddr.self).baseAddress, &length)
        }
        try #require(code == 0)
        // `sin_port`, after the family.
        number = Int(address[2]) << 8 | Int(address[3])
        self.descriptor = descriptor
    }

    func release() { close(descriptor) }
}
