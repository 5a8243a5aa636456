// SPDX-License-Identifier: Apache-2.0

public import NIOCore

/// What one Kafka listener and each of its connections may use. Times are checked by a sweep a few times a second, so
/// a connection may live up to a quarter of a timeout longer than it says.
public struct ConnectionLimits: Sendable {
    /// The largest request frame, without its length prefix (`request.bytes.max`).
    public var maxFrameBytes = 100 << 20
    /// Bytes of requests that are being received or answered, over all connections of the listener. At this level no
    /// connection reads on, except one a loop that is in the middle of a frame, so that there is always progress.
    public var maxInflightBytes = 256 << 20
    /// Requests of one connection that wait for their answers; at this number it is not read from.
    public var maxOutstandingRequests = 64
    /// Bytes of answers waiting for one connection's peer to read them; above this, it is not read from.
    public var outputHighWater = 4 << 20
    public var outputLowWater = 1 << 20
    /// What one read from a socket may bring. Frames that lie whole in it are not copied.
    public var receiveBufferBytes = 128 << 10
    /// A connection that neither sent nor was sent anything, and waits for no answer, is closed after this.
    public var idleTimeout = TimeAmount.minutes(10)
    /// How long a half-received frame may take for each `minimumProgressBytes` or its rest.
    public var frameProgressTimeout = TimeAmount.seconds(30)
    /// How long a peer may take to read each `minimumProgressBytes` or the rest of its answers.
    public var writeStallTimeout = TimeAmount.seconds(30)
    public var minimumProgressBytes = 16 << 10
    public var maxConnections = 10_000
    public var maxConnectionsPerAddress = 2_000
    /// Newly accepted connections a second and a bound on their burst. Those beyond are closed at once.
    public var maxNewConnectionsPerSecond = 1_000
    /// How long accepting pauses when the process has no descriptors or memory left.
    public var acceptBackOff = TimeAmount.milliseconds(200)
    public var backlog: Int32 = 1024

    public init() {}
}
