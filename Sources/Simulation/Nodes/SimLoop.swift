// SPDX-License-Identifier: Apache-2.0

import Dispatch
import NIOCore

/// An event loop of a simulated node: what is given to it happens on the world's clock, in order, a moment later.
///
/// So everything that a node has written against event loops runs unchanged.
// SAFETY: the whole simulation runs on one thread.
final class SimLoop: EventLoop, @unchecked Sendable {
    private unowned let world: World
    private let place: Int
    private let life: Int
    private var latest: UInt64 = 0

    init(world: World, place: Int, life: Int) {
        self.world = world
        self.place = place
        self.life = life
    }

    var inEventLoop: Bool { true }
    var now: NIODeadline { .uptimeNanoseconds(world.now) }

    func execute(_ task: @escaping @Sendable () -> Void) {
        latest = max(world.now + UInt64(world.random.below(5_000)), latest)
        world.schedule(on: place, life: life, after: latest - world.now) { task() }
    }

    func scheduleTask<T>(deadline: NIODeadline, _ task: @escaping @Sendable () throws -> T) -> Scheduled<T> {
        let promise = makePromise(of: T.self)
        let wait = deadline > now ? UInt64((deadline - now).nanoseconds) : 0
        let whether = Cancellation()
        world.schedule(on: place, life: life, after: wait) {
            guard !whether.isCancelled else { return }
            do { promise.assumeIsolated().succeed(try task()) } catch { promise.fail(error) }
        }
        return Scheduled(promise: promise) {
            whether.isCancelled = true
            promise.fail(EventLoopError.cancelled)
        }
    }

    func scheduleTask<T>(in delay: TimeAmount, _ task: @escaping @Sendable () throws -> T) -> Scheduled<T> {
        scheduleTask(deadline: now + delay, task)
    }

    func shutdownGracefully(queue: DispatchQueue, _ callback: @escaping @Sendable ((any Error)?) -> Void) {
        queue.async { callback(nil) }
    }

    // SAFETY: as for the loop.
    private final class Cancellation: @unchecked Sendable {
        var isCancelled = false
    }
}
