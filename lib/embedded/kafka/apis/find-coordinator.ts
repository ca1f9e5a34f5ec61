// FindCoordinator: which broker looks after a group. There is one broker.
import { BROKER_ID, responseTo, type Api } from "../api.ts";
import { ErrorCode } from "../errors.ts";

const GROUP = 0;

/** FindCoordinator, versions 0 to 2. */
export const findCoordinatorApi: Api = {
  key: 10,
  versionMin: 0,
  versionMax: 2,
  handle(request) {
    const { version, body, connection } = request;
    body.string(); // the group id, or another key
    const keyType = version >= 1 ? body.int8() : GROUP;

    const response = responseTo(request);
    if (version >= 1) response.int32(0); // throttle time
    if (keyType !== GROUP) {
      response.int16(ErrorCode.INVALID_REQUEST).string("this broker has no transactions");
      return response.int32(-1).string("").int32(-1);
    }
    response.int16(ErrorCode.NONE);
    if (version >= 1) response.nullableString(null); // error message
    return response.int32(BROKER_ID).string(connection.brokerHost).int32(connection.brokerPort);
  },
};
