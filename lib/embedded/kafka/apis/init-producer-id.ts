// InitProducerId: the number under which an idempotent producer's repeats are recognised.
import { responseTo, type Api } from "../api.ts";
import { ErrorCode } from "../errors.ts";

/** InitProducerId, versions 0 and 1. */
export const initProducerIdApi: Api = {
  key: 22,
  versionMin: 0,
  versionMax: 1,
  handle(request, state) {
    const transactionalId = request.body.nullableString();
    request.body.int32(); // transaction timeout
    const response = responseTo(request).int32(0); // throttle time
    if (transactionalId !== null) {
      return response.int16(ErrorCode.INVALID_REQUEST).int64(-1).int16(-1); // no transactions here
    }
    const producerId = state.nextProducerId;
    state.nextProducerId += 1;
    return response.int16(ErrorCode.NONE).int64(producerId).int16(0); // epoch
  },
};
