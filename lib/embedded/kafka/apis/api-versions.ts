// ApiVersions: which requests this broker understands, the first thing every client asks.
import { responseTo, type Api } from "../api.ts";
import { ErrorCode } from "../errors.ts";
import { Writer } from "../writer.ts";

/** ApiVersions' own key: its wrong versions get an answer, where others end the connection. */
export const API_VERSIONS_KEY = 18;

/**
 * Makes the ApiVersions API.
 * @param supported what to tell; a function, as the list includes this API itself
 */
export function apiVersionsApi(supported: () => readonly Api[]): Api {
  return {
    key: API_VERSIONS_KEY,
    versionMin: 0,
    versionMax: 3,
    flexibleFrom: 3,
    handle(request) {
      const { version, body } = request;
      if (version >= 3) {
        body.compactString(); // the client software's name
        body.compactString(); // and version
        body.skipTaggedFields();
      }
      // The header of this response never has tagged fields, whatever the version: a client must be
      // able to read it before it knows what the broker speaks.
      const response = responseTo(request).int16(ErrorCode.NONE);
      if (version >= 3) {
        response.compactArray(supported(), (out, api) =>
          out.int16(api.key).int16(api.versionMin).int16(api.versionMax).noTaggedFields(),
        );
        return response.int32(0).noTaggedFields();
      }
      writeRanges(response, supported());
      return version >= 1 ? response.int32(0) : response; // throttle time
    },
  };
}

/** Answers an ApiVersions request of a version that is too new: in version 0, with the ranges. */
export function unsupportedVersion(correlationId: number, supported: readonly Api[]): Writer {
  const response = new Writer().int32(correlationId).int16(ErrorCode.UNSUPPORTED_VERSION);
  return writeRanges(response, supported);
}

function writeRanges(response: Writer, supported: readonly Api[]): Writer {
  return response.array(supported, (out, api) =>
    out.int16(api.key).int16(api.versionMin).int16(api.versionMax),
  );
}
